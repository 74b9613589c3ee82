import Apus
import ApusJSON
import ApusTesting
import Testing

@Suite struct APIDescriptionTests {
    @Test func `The OpenAPI document and the documentation page are served in development`() async throws {
        try await FirstService.app.test { app in
            let document = try await app.client.get("/openapi.json").json(JSON.Value.self)
            #expect(document["info"]?["title"] == "first-service")
            #expect(document["paths"]?["/hello/{name}"]?["get"]?["parameters"] != nil)
            let numbers = document["components"]?["schemas"]?["Numbers"]?["properties"]?["numbers"]
            #expect(numbers?["maxItems"] == 100)
            #expect(document["paths"]?["/docs"] == nil)
            for (path, type) in [
                ("/docs", "text/html"), ("/docs/docs.js", "text/javascript"), ("/docs/docs.css", "text/css"),
            ] {
                let response = try await app.client.get(path)
                #expect(response.status == .ok)
                #expect(response.headers[.contentType]?.hasPrefix(type) == true)
                #expect(response.headers[.contentSecurityPolicy]?.contains("script-src 'self'") == true)
            }
        }
    }

    @Test func `The documentation is off by default in production, and can be turned on or off`() async throws {
        for (settings, status) in [
            (["environment": "production"], HTTPResponse.Status.notFound),
            (["environment": "production", "docs.enabled": "true"], .ok), (["docs.enabled": "false"], .notFound),
        ] {
            let statuses = try await FirstService.app.test(settings: settings) { app in
                [try await app.client.get("/docs").status, try await app.client.get("/openapi.json").status]
            }
            #expect(statuses == [status, status])
        }
    }
}
