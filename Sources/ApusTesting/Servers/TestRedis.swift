import FoundationEssentials
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A Redis server for tests: on a free port of 127.0.0.1, in a temporary folder, without persistence.
///
/// ```swift
/// @Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct CartTests {
///     @Test func `A cart is kept`() async throws {
///         try await TestRedis.run { server in
///             let redis = try RedisClient(url: server.url, logger: logger)
///             …
///         }
///     }
/// }
/// ```
///
/// The server ends with ``stop()``, and with the test process, however that ends.
public final class TestRedis: Sendable {
    /// What the program runs as.
    package enum Mode: Sendable { case server, sentinel }

    /// The port.
    public var port: Int { reserved.number }
    /// The URL of the server, such as `redis://127.0.0.1:41234`.
    public var url: String { "redis://127.0.0.1:\(port)" }
    /// The folder of the server's files, which ``stop()`` removes.
    package let folder: String

    private let mode: Mode
    private let reserved: ReservedPort
    private let process = Mutex<ServerProcess?>(nil)

    private static let program = "redis-server"

    /// Whether the program `redis-server` is installed. Prints the reason once if tests are going to be skipped.
    public static let isInstalled: Bool = {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let isInstalled = path.split(separator: ":").contains { access("\($0)/\(program)", X_OK) == 0 }
        if !isInstalled { print(notInstalled) }
        return isInstalled
    }()

    /// Why tests are skipped where the program is missing.
    public static let notInstalled =
        "Tests with Redis are skipped: redis-server is not installed. On Debian: apt-get install redis-server"

    /// Runs a closure with a server, and stops it afterwards.
    /// - Parameter configuration: Further lines of the server's configuration, such as `requirepass secret`.
    /// - Throws: The error of the closure, or an error with the server's output if it does not start.
    public static func run<Result>(
        configuration: [String] = [], _ body: (TestRedis) async throws -> Result
    ) async throws -> Result {
        let server = try await start(configuration: configuration)
        defer { server.stop() }
        return try await body(server)
    }

    /// Starts a server. It must be stopped by ``stop()``.
    public static func start(configuration: [String] = []) async throws -> TestRedis {
        try await start(configuration: configuration, as: .server)
    }

    package static func start(configuration: [String], as mode: Mode) async throws -> TestRedis {
        let server = try TestRedis(configuration, mode)
        do {
            try await server.launch()
        } catch {
            server.stop()
            throw error
        }
        return server
    }

    private init(_ configuration: [String], _ mode: Mode) throws {
        self.mode = mode
        reserved = try ReservedPort()
        folder = FileManager.default.temporaryDirectory.appending(path: "apus-redis-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var lines = ["port \(reserved.number)", "bind 127.0.0.1", "dir \(folder)", "daemonize no", "logfile \"\""]
        if mode == .server { lines += ["save \"\"", "appendonly no"] }
        let text = (lines + configuration).joined(separator: "\n") + "\n"
        try text.write(toFile: file, atomically: false, encoding: .utf8)
    }

    private var file: String { "\(folder)/redis.conf" }

    private func launch() async throws {
        let arguments = [Self.program, file] + (mode == .sentinel ? ["--sentinel"] : [])
        // Sentinels do not announce that they accept connections, only who they are.
        let started = try await ServerProcess.start(
            arguments, stopSignal: "KILL", removing: folder,
            readyWhen: mode == .sentinel ? "Sentinel ID is" : "Ready to accept connections")
        process.withLock { $0 = started }
    }

    /// Kills the server as a crash would: connections are reset, and data is lost. ``restart()`` starts it again.
    public func kill() { process.withLock { $0.take() }?.stop(keepsFolder: true) }

    /// Starts the server again on the same port, empty.
    public func restart() async throws {
        kill()
        try await launch()
    }

    /// Stops the server and removes its files.
    public func stop() {
        kill()
        // Without a process if it has been killed before.
        try? FileManager.default.removeItem(atPath: folder)
    }
}
