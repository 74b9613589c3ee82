import Apus
import ApusJSON
import ApusPostgres
import ApusSQLite
import ApusTesting
import Foundation
import Testing

private struct Send: Job, Equatable {
    static let name = "send/1"
    static let queue = "mail & more"
    let to: String
}

private struct SendWorker: Worker {
    func perform(_ job: Send, _ context: JobContext) async throws {
        throw AppError(.invalidArgument, "No such <mailbox>.")
    }
}

private struct MailModule: Module {
    func configure(_ app: inout AppBuilder) {
        app.workers.add(SendWorker())
        app.routes { routes, container in
            let jobs: JobQueue = try container.resolve()
            routes.jobDashboard(
                "admin/jobs", of: jobs, BasicAuthentication(user: "ops", password: Secret("a:b ü")))
        }
    }
}

@Suite struct JobDashboardTests {
    private struct Overview: Decodable {
        struct Queue: Decodable, Equatable {
            let name: String
            let isPaused: Bool
            let available: Int
            let running: Int
        }
        let time: Date
        let queues: [Queue]
        let states: [String: Int]
    }
    private struct Listed: Codable {
        let id: JobRecord.ID
        let kind: String
        let state: String
        let lastError: String?
    }
    private struct Details: Decodable {
        struct Failure: Decodable {
            let attempt: Int
            let description: String
        }
        let job: Listed
        let arguments: String
        let errors: [Failure]
    }

    private func withDashboard(
        on database: TestDatabase = .memory, _ body: @Sendable (TestApp, TestClient, JobQueue) async throws -> Void
    ) async throws {
        let app = App("mail", engines: SQLiteEngine(), PostgresEngine()) { MailModule() }
        try await app.test(on: database) { app in
            var client = app.client
            client.headers[.authorization] = Self.credentials("ops:a:b ü")
            try await body(app, client, try app.resolve())
        }
    }

    private static func credentials(_ text: String) -> String { "Basic \(Data(text.utf8).base64EncodedString())" }

    private func get<Value: Decodable>(_ client: TestClient, _ path: String) async throws -> Value {
        let response = try await client.get("/admin/jobs/api/\(path)")
        #expect(response.status == .ok)
        return try JSON.Decoder.standard.decode(Value.self, from: response.body.readableBytesView)
    }

    @Test(arguments: TestDatabase.available)
    func `The dashboard lists jobs, shows their errors, and retries, cancels and deletes them`(
        database: TestDatabase
    ) async throws {
        try await withDashboard(on: database) { app, client, jobs in
            for number in 0..<5 { try await jobs.enqueue(Send(to: "\(number)")) }
            let overview: Overview = try await get(client, "overview")
            #expect(overview.states["available"] == 5)
            #expect(
                overview.queues == [.init(name: "mail & more", isPaused: false, available: 5, running: 0)])
            try await app.runJobs()
            let query = "state=discarded&kind=send%2F1&queue=mail%20%26%20more"
            let first: Page<Listed> = try await get(client, "jobs?\(query)&limit=3")
            let next = try #require(first.next)
            let second: Page<Listed> = try await get(client, "jobs?\(query)&limit=3&cursor=\(next)")
            #expect(Set((first.items + second.items).map(\.id)).count == 5)
            #expect(second.next == nil)
            let none: Page<Listed> = try await get(client, "jobs?state=discarded&kind=other")
            #expect(none.items.isEmpty)

            let id = first.items[0].id
            let details: Details = try await get(client, "jobs/\(id)")
            #expect(details.job.kind == "send/1")
            #expect(details.arguments.hasPrefix(#"{"to":""#))
            #expect(details.errors.map(\.attempt) == [1])
            #expect(details.errors[0].description.contains("No such <mailbox>."))

            #expect(try await client.post("/admin/jobs/api/jobs/\(id)/retry").status == .noContent)
            #expect(try await jobs.find(id)?.state == .available)
            #expect(try await client.post("/admin/jobs/api/jobs/\(id)/cancel").status == .noContent)
            #expect(try await jobs.find(id)?.state == .cancelled)
            #expect(try await client.post("/admin/jobs/api/jobs/\(id)/cancel").status == .conflict)
            #expect(try await client.send(.delete, "/admin/jobs/api/jobs/\(id)").status == .noContent)
            #expect(try await client.get("/admin/jobs/api/jobs/\(id)").status == .notFound)
            let retried = try await client.post("/admin/jobs/api/jobs/retry", json: ["kind": "send/1"])
            #expect(String(buffer: retried.body) == #"{"count":4,"isComplete":true}"#)
        }
    }

    @Test func `A queue is paused and resumed by its name`() async throws {
        try await withDashboard { _, client, jobs async throws in
            #expect(
                try await client.post("/admin/jobs/api/queues/pause", json: ["queue": "mail & more"]).status
                    == .noContent)
            #expect(try await jobs.statistics().map(\.isPaused) == [true])
            #expect(
                try await client.post("/admin/jobs/api/queues/resume", json: ["queue": "mail & more"]).status
                    == .noContent)
            #expect(try await jobs.statistics().map(\.isPaused) == [false])
            #expect(
                try await client.post("/admin/jobs/api/queues/pause", json: ["name": "mail"]).status == .badRequest)
        }
    }

    @Test func `The page is served with links relative to its own path, and allows nothing of other origins`()
        async throws
    {
        try await withDashboard { _, client, _ in
            let page = try await client.get("/admin/jobs")
            #expect(page.headers[.contentType] == "text/html; charset=utf-8")
            #expect(String(buffer: page.body).contains(#"<base href="./jobs/">"#))
            let other = try await client.get("/admin/jobs/")
            #expect(String(buffer: other.body).contains(#"<base href="./">"#))
            #expect(page.headers[.contentSecurityPolicy]?.contains("script-src 'self';") == true)
            for file in ["jobs.js", "jobs.css"] {
                #expect(try await client.get("/admin/jobs/\(file)").status == .ok)
            }
        }
    }

    @Test(arguments: [
        nil, "Basic", "Basic !", "Bearer b3BzOmE=", credentials("ops:"), credentials("ops:a:b"),
        credentials("root:a:b ü"),
    ])
    func `Nothing is served without the right name and password`(credentials: String?) async throws {
        try await withDashboard { _, client, jobs in
            var client = client
            client.headers[.authorization] = credentials
            for path in ["", "/jobs.js", "/api/overview", "/api/events", "/api/jobs?state=discarded"] {
                let response = try await client.get("/admin/jobs\(path)")
                #expect(response.status == .unauthorized)
                #expect(response.headers[.wwwAuthenticate] == #"Basic realm="Restricted", charset="UTF-8""#)
            }
            #expect(
                try await client.post("/admin/jobs/api/queues/pause", json: ["queue": "mail & more"]).status
                    == .unauthorized)
            #expect(try await jobs.statistics().isEmpty)
        }
    }

    @Test func `Pages of other origins cannot change anything`() async throws {
        try await withDashboard { _, client, jobs in
            let response = try await client.post(
                "/admin/jobs/api/queues/pause", json: ["queue": "mail"],
                headers: [.origin: "https://evil.example", HTTPField.Name("Sec-Fetch-Site")!: "cross-site"])
            #expect(response.status == .forbidden)
            #expect(try await jobs.statistics().isEmpty)
        }
    }

    @Test func `Changes are sent as events`() async throws {
        let app = App("mail", engines: SQLiteEngine()) { MailModule() }
        try await app.test(.socket) { app in
            let jobs: JobQueue = try app.resolve()
            let connection = try await RawConnection.connect(port: try #require(app.port))
            try await connection.write(
                """
                GET /admin/jobs/api/events HTTP/1.1\r
                Host: localhost\r
                Authorization: \(Self.credentials("ops:a:b ü"))\r
                \r

                """)
            _ = try await connection.read(until: #""available":0"#)
            try await jobs.enqueue(Send(to: "Ada"))
            _ = try await connection.read(until: #""available":1"#)
            try await connection.closeOutput()
        }
    }
}
