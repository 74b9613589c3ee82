import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Testing

/// Runs a closure with an empty database of a real server.
func withPostgres(_ body: (PostgresDatabase) async throws -> Void) async throws {
    let server = try await TestPostgres.shared()
    var configuration = try PostgresConfiguration(url: server.url(database: try await server.createDatabase()))
    configuration.connectTimeout = .seconds(60)
    let database = try PostgresDatabase(configuration)
    do {
        try await body(database)
    } catch {
        await database.close()
        throw error
    }
    await database.close()
}

/// What differs on Postgres: the limits of `NOTIFY`, and transactions.
@Suite(.enabled(if: TestPostgres.isAvailable)) struct PostgresPubSubTests {
    @Test func `Messages up to the limit arrive, and longer ones are refused with the limit`() async throws {
        try await withPostgres { database in
            let pubSub = PostgresPubSub(database, timeout: .seconds(60))
            var events = try await pubSub.subscribe(to: "a").makeAsyncIterator()
            let text = [UInt8](repeating: UInt8(ascii: "x"), count: PostgresPubSub.maximumTextLength)
            let binary = [UInt8](repeating: 0, count: PostgresPubSub.maximumBinaryLength)
            for message in [text, binary] {
                try await pubSub.publish(message, to: "a")
                #expect(try await events.next() == .message(message))
                let error = await #expect(throws: AppError.self) {
                    try await pubSub.publish(message + message.prefix(1), to: "a")
                }
                #expect(error?.code == .invalidArgument)
                #expect(error?.message.contains("the maximum for") == true)
            }
        }
    }

    @Test(arguments: ["", String(repeating: "n", count: 64), "a\0b"])
    func `A name that Postgres would change is refused`(name: String) async throws {
        try await withPostgres { database in
            let pubSub = PostgresPubSub(database)
            let publishing = await #expect(throws: AppError.self) { try await pubSub.publish([], to: name) }
            #expect(publishing?.code == .invalidArgument)
            let subscribing = await #expect(throws: AppError.self) { try await pubSub.subscribe(to: name) }
            #expect(subscribing?.code == .invalidArgument)
        }
    }

    @Test func `A message of a transaction arrives with its commit, and that of one rolled back never`() async throws {
        try await withPostgres { database in
            let pubSub = PostgresPubSub(database, timeout: .seconds(60))
            var events = try await pubSub.subscribe(to: "a").makeAsyncIterator()
            struct Rollback: Error {}
            await #expect(throws: Rollback.self) {
                try await database.transaction {
                    try await pubSub.publish([1], to: "a")
                    throw Rollback()
                }
            }
            try await database.transaction { try await pubSub.publish([2], to: "a") }
            #expect(try await events.next() == .message([2]))
        }
    }

    @Test func `After a lost connection subscribers get a gap, and then messages again`() async throws {
        try await withPostgres { database in
            let pubSub = PostgresPubSub(database, timeout: .seconds(60))
            var events = try await pubSub.subscribe(to: "a").makeAsyncIterator()
            try await database.execute(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%SELECT 1%'
                """)
            #expect(try await events.next() == .gap)
            try await pubSub.publish([1], to: "a")
            #expect(try await events.next() == .message([1]))
        }
    }

    @Test func `What another program sends to a channel is ignored`() async throws {
        try await withPostgres { database in
            let pubSub = PostgresPubSub(database, timeout: .seconds(60))
            var events = try await pubSub.subscribe(to: "a").makeAsyncIterator()
            for payload in ["", "x", "b!", "t", "tnext"] { try await database.notify("a", payload: payload) }
            #expect(try await events.next() == .message([]))
            #expect(try await events.next() == .message(Array("next".utf8)))
        }
    }

    @Test func `Subscribing to a server that is away is an error`() async throws {
        let database = try PostgresDatabase(PostgresConfiguration(url: "postgres://postgres@127.0.0.1:1/x"))
        let pubSub = PostgresPubSub(database, timeout: .milliseconds(50))
        let error = await #expect(throws: AppError.self) { try await pubSub.subscribe(to: "a") }
        #expect(error?.code == .unavailable)
        await database.close()
    }
}
