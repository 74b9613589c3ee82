import Apus
import ApusTesting
import Testing

@testable import ApusSQLite

/// What a request with an idempotency key costs SQLite's writer.
@Suite struct IdempotencyVisitTests {
    private struct Caller: Middleware {
        struct Named: Principal {
            let subject = "ada"
        }

        func handle(_ request: Request, next: Next) async -> Response {
            request.context.principal = Named()
            return await next(request)
        }
    }

    private enum CreateItems: Migration {
        static let id = "create-items"
        static let statements: [SQL] = ["CREATE TABLE items (name TEXT NOT NULL)\(SQL.strict)"]
    }

    private struct ItemModule: Module {
        func configure(_ app: inout AppBuilder) {
            app.migrations.add(CreateIdempotencyKeys.self, CreateItems.self)
            app.routes { routes, container in
                let database: any Database = try container.resolve()
                routes.group(Caller(), IdempotencyKeys(database)) { routes in
                    routes.post("recorded") {
                        try await UnitOfWork(database).perform {
                            try await Self.insert(database)
                            try await Self.insert(database)
                            return try await IdempotencyKeys.record(Created("done", at: "/items/1"))
                        }
                    }
                    routes.group("", Changing()) { routes in
                        routes.post("changed") {
                            try await UnitOfWork(database).perform {
                                try await Self.insert(database)
                                return try await IdempotencyKeys.record("done")
                            }
                        }
                    }
                    routes.post("single") {
                        try await Self.insert(database)
                        return "done"
                    }
                }
            }
        }

        private static func insert(_ database: any Database) async throws {
            try await database.execute("INSERT INTO items VALUES ('x')")
        }
    }

    /// Adds a header field to responses.
    private struct Changing: Middleware {
        static let field = HTTPField.Name("X-Changed")!

        func handle(_ request: Request, next: Next) async -> Response {
            var response = await next(request)
            response.headers[Self.field] = "yes"
            return response
        }
    }

    private let key = HTTPField.Name("Idempotency-Key")!

    /// A claim, a unit of work with the hook, and the response unless the unit of work has recorded it.
    @Test(arguments: [("recorded", 2), ("changed", 3), ("single", 3)])
    func `A request with a key visits the writer for its claim, its unit of work and its response`(
        path: String, visits: Int
    ) async throws {
        try await App("items", engines: SQLiteEngine()) { ItemModule() }.test { app in
            let database = try #require(try app.resolve((any Database).self) as? SQLiteDatabase)
            // The first request deletes expired keys too.
            _ = try await app.client.post("/\(path)", headers: [key: "0"])
            let before = database.writer.visitCount
            let first = try await app.client.post("/\(path)", headers: [key: "1"])
            #expect(database.writer.visitCount - before == visits)
            let second = try await app.client.post("/\(path)", headers: [key: "1"])
            #expect((second.status, second.text) == (first.status, first.text))
            #expect(second.headers[.location] == first.headers[.location])
            #expect(second.headers[Changing.field] == first.headers[Changing.field])
        }
    }
}
