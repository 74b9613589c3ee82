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
    /// Assembles the app, migrates its database, runs a test body with it, and stops it.
    /// - Parameters:
    ///   - transport: How requests reach the app. In memory by default.
    ///   - settings: Settings by key. The database is in memory unless they configure another one.
    /// - Throws: A `StartupError`, or the error of the body.
    public func test<Result: Sendable>(
        _ transport: TestApp.Transport = .memory, settings: [String: String] = [:],
        _ body: @Sendable (TestApp) async throws -> Result
    ) async throws -> Result {
        var all = ["http.port": "0"]
        if hasDatabase { all["database.url"] = "sqlite::memory:" }
        all.merge(settings) { $1 }
        let flags = all.map { "--\($0.key.split(separator: ".").joined(separator: "-"))=\($0.value)" }
        let logs = LogCapture()
        let assembly = try assemble(
            settings: await Settings(arguments: flags, folder: "/nonexistent"), logOutput: logs.output)
        _ = try await assembly.migrator?.run()
        do {
            let result = try await run(assembly, transport, logs, body)
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
