import Testing

@testable import protoc_gen_apus

@Suite struct PathTemplateTests {
    @Test func `A path consists of literal and wildcard segments, parameters and a verb`() throws {
        let template = try PathTemplate("/v1/{shop.id=shops/*}/orders/{name}/*/{rest=files/**}:undo")
        #expect(
            template.segments == [
                .text("v1"), .text("shops"), .any, .text("orders"), .any, .any, .text("files"), .rest,
            ])
        #expect(template.parameters.map(\.field) == ["shop.id", "name", "rest"])
        #expect(template.parameters.map(\.range) == [1..<3, 4..<5, 6..<8])
        #expect(template.verb == "undo")
    }

    @Test func `A colon in braces does not begin a verb`() throws {
        #expect(throws: PathTemplate.Problem.self) { try PathTemplate("/v1/{name=a:b}") }
        #expect(try PathTemplate("/v1/orders:search").segments == [.text("v1"), .text("orders")])
        #expect(try PathTemplate("/v1/{name}").verb == nil)
    }

    @Test(arguments: [
        "", "v1", "/", "/v1/", "//v1", "/v1//a", "/v1:", "/v1/{name", "/v1/{name}x", "/v1/{}", "/v1/{a}/{a}",
        "/v1/{a=}",
        "/v1/**/a", "/v1/a*", "/v1/a b", "/v1/a?b", "/v1/a#b", "/v1/é", "/v1/{a=**}/b", "/v1/\"x\"",
    ])
    func `A malformed path is rejected, and the error names it`(text: String) {
        let problem = #expect(throws: PathTemplate.Problem.self) { try PathTemplate(text) }
        #expect(problem?.description.contains(text) == true)
    }
}
