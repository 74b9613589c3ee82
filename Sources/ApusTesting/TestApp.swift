public import Apus
import ApusLogging
import Synchronization

/// An app under test.
public struct TestApp: Sendable {
    /// How requests reach the app.
    public enum Transport: Sendable, CaseIterable {
        /// Calls the app's handler directly.
        case memory
        /// Connects to a server on a free local port.
        case socket
    }

    /// The client of the app.
    public let client: TestClient
    /// The port of the server; `nil` for the memory transport.
    public let port: Int?
    /// The captured log lines.
    public let logs: LogCapture

    let assembly: Assembly

    /// Resolves a part of the app from its container.
    public func resolve<Part>(_ type: Part.Type = Part.self) throws -> Part { try assembly.container.resolve(type) }

    /// Runs all jobs that are due and waits for them.
    /// - Returns: The number of attempts made.
    @discardableResult
    public func runJobs() async throws -> Int { try await assembly.jobRunner?.runAvailable() ?? 0 }
}

extension App {
    /// Assembles the app with a migrated database, runs a test body with it, and stops it.
    /// - Parameters:
    ///   - transport: How requests reach the app. In memory by default.
    ///   - database: The database of the test. By default SQLite in memory, or Postgres if the app has no engine for
    ///     SQLite. Ignored if the settings have a `database.url`, whose database is migrated then.
    ///   - settings: Settings by key.
    /// - Throws: A `StartupError`, an `AppError` of code `unavailable` if the database needs a server that is not
    ///   installed, or the error of the body.
    public func test<Result: Sendable>(
        _ transport: TestApp.Transport = .memory, on database: TestDatabase? = nil, settings: [String: String] = [:],
        _ body: @Sendable (TestApp) async throws -> Result
    ) async throws -> Result {
        guard hasDatabase, settings["database.url"] == nil else {
            return try await run(transport, settings, isMigrated: false, body)
        }
        let database = database ?? (TestDatabase.memory.engine(of: engines) == nil ? .postgres : .memory)
        guard let engine = database.engine(of: engines) else {
            throw StartupError(problems: ["This app has no engine for the scheme \"\(database.scheme)\"."])
        }
        let migrations =
            database.kind == .memory ? [] : try self.migrations(settings: await Self.settings(settings))
        return try await database.withCopy(engine, migrations) { copy in
            let app = database.isRolledBack ? withEngines(engines.map { RolledBackEngine(engine: $0) }) : self
            let settings = settings.merging(["database.url": copy.url]) { $1 }
            return try await app.run(transport, settings, isMigrated: copy.isMigrated, body)
        }
    }

    private static func settings(_ values: [String: String]) async throws -> Settings {
        let all = ["http.port": "0"].merging(values) { $1 }
        let flags = all.map { "--\($0.key.split(separator: ".").joined(separator: "-"))=\($0.value)" }
        return try await Settings(arguments: flags, folder: "/nonexistent")
    }

    private func run<Result: Sendable>(
        _ transport: TestApp.Transport, _ settings: [String: String], isMigrated: Bool,
        _ body: @Sendable (TestApp) async throws -> Result
    ) async throws -> Result {
        let logs = LogCapture()
        let assembly = try assemble(settings: try await Self.settings(settings), logOutput: logs.output)
        do {
            if !isMigrated { _ = try await assembly.migrator?.run() }
            let result =
                if let database = assembly.database as? RolledBackDatabase {
                    try await database.rollingBack { try await run(assembly, transport, logs, body) }
                } else {
                    try await run(assembly, transport, logs, body)
                }
            await assembly.close()
            return result
        } catch {
            await assembly.close()
            throw error
        }
    }

    private func run<Result: Sendable>(
        _ assembly: Assembly, _ transport: TestApp.Transport, _ logs: LogCapture,
        _ body: @Sendable (TestApp) async throws -> Result
    ) async throws -> Result {
        switch transport {
        case .memory:
            let client = TestClient(transport: MemoryTransport(handler: assembly.handler, logger: assembly.logger))
            return try await body(TestApp(client: client, port: nil, logs: logs, assembly: assembly))
        case .socket:
            let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
            let server = assembly.makeTestServer { continuation.yield($0) }
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    defer { continuation.finish() }
                    try await server.run()
                }
                var iterator = ports.makeAsyncIterator()
                guard let port = await iterator.next() else { throw CancellationError() }
                let client = TestClient(transport: SocketTransport(port: port))
                let result = try await body(TestApp(client: client, port: port, logs: logs, assembly: assembly))
                group.cancelAll()
                return result
            }
        }
    }
}

extension TestApp {
    /// Runs the services of the modules while the body runs. The clock is advanced whenever a task sleeps on it.
    public func runServices<Result: Sendable>(
        advancing clock: ManualClock, _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for service in assembly.services { group.addTask { try await service.run() } }
            group.addTask {
                while !Task.isCancelled {
                    await clock.sleepers(1)
                    clock.advance(by: .milliseconds(100))
                    await Task.yield()
                }
            }
            defer { group.cancelAll() }
            return try await body()
        }
    }
}
