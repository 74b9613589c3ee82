import Apus
import ApusPostgres
import ApusSQLite
import ApusTesting
import Testing

@Suite(.timeLimit(.minutes(10))) struct HealthTests {
    @Test func `An app without modules is live and ready, and logs one line per request`() async throws {
        try await App("empty", engines: SQLiteEngine()) {}.test(.socket) { app in
            #expect(try await app.client.get("/health/live").status == .ok)
            #expect(try await app.client.get("/health/ready").status == .ok)
            let missing = try await app.client.get("/nope?token=hunter2")
            #expect(missing.status == .notFound)
            #expect(try missing.problem().requestID == missing.headers[HTTPField.Name("X-Request-Id")!])
            let lines = app.logs.lines.filter { $0.contains("info request") }
            #expect(lines.count == 3)
            #expect(lines.allSatisfy { $0.contains("request_id=") && $0.contains("duration_ms=") })
            #expect(!lines.joined().contains("hunter2"))
        }
    }

    @Test func `An app without a database engine is ready`() async throws {
        let status = try await App("bare") {}.test { try await $0.client.get("/health/ready").status }
        #expect(status == .ok)
    }

    @Test func `The URL of the database is required if no engine is embedded`() async throws {
        let settings = try await Settings(arguments: [], folder: "/nonexistent")
        let error = #expect(throws: StartupError.self) {
            try App("empty", engines: PostgresEngine()) {}.assemble(settings: settings)
        }
        #expect(
            error?.problems == [
                "database.url (--database-url, DATABASE_URL) is required: a URL with the scheme postgres or postgresql."
            ])
    }

    @Test func `The start fails if no engine supports the scheme of the database URL`() async throws {
        let error = await #expect(throws: StartupError.self) {
            try await App("empty", engines: SQLiteEngine()) {}.test(settings: ["database.url": "mysql://x"]) { _ in }
        }
        #expect(error?.problems == ["database.url has the scheme \"mysql\"; this app supports sqlite."])
    }
}
