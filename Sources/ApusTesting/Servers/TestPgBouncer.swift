import ApusCore
import Foundation
import Synchronization

/// PgBouncer in front of a Postgres server for tests: a connection pooler, on a free port of 127.0.0.1.
///
/// It stops when ``stop()`` is called, or when the process ends in whatever way.
public final class TestPgBouncer: Sendable {
    /// The port, on 127.0.0.1.
    public var port: Int { reserved.number }
    private let reserved: ReservedPort
    private let process: ServerProcess

    private static let program: String? = {
        let searched = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return (searched + ["/usr/sbin", "/usr/local/sbin"]).map { "\($0)/pgbouncer" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    /// Why PgBouncer cannot be started; `nil` if it can. Tests that need it are skipped with this reason.
    public static let unavailableReason: String? =
        program == nil ? "PgBouncer is not installed. On Debian: apt-get install pgbouncer" : nil

    /// Whether PgBouncer can be started. Prints the reason if not.
    public static let isAvailable: Bool = {
        if let unavailableReason { print("Skipping tests with PgBouncer: \(unavailableReason)") }
        return unavailableReason == nil
    }()

    /// Returns the version, such as `[1, 18, 0]`.
    public static func version() async throws -> [Int] {
        guard let program else { throw AppError(.unavailable, unavailableReason ?? "PgBouncer is not installed.") }
        let line = try await Command.run(program, ["--version"]).split(separator: "\n").first ?? ""
        return (line.split(separator: " ").last ?? "").split(separator: ".").compactMap { Int($0) }
    }

    /// Starts PgBouncer in transaction mode, and waits until it accepts connections.
    /// - Parameters:
    ///   - server: The server. It must authenticate by `trust`.
    ///   - settings: Settings as in `pgbouncer.ini`, such as `default_pool_size`.
    /// - Throws: An `AppError` of code `unavailable` with its output if it does not start.
    public static func start(
        before server: TestPostgres, settings: [String: String] = [:]
    ) async throws -> TestPgBouncer {
        guard let program else { throw AppError(.unavailable, unavailableReason ?? "PgBouncer is not installed.") }
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-pgbouncer-\(UUID())").path
        let account = ServerAccount()
        try account.createFolder(folder)
        do {
            try account.createFile("\(folder)/users.txt", "\"postgres\" \"\"\n")
            let port = try ReservedPort()
            let all = [
                "listen_addr": "127.0.0.1", "listen_port": "\(port.number)", "unix_socket_dir": "",
                "auth_type": "trust",
                "auth_file": "\(folder)/users.txt", "admin_users": "postgres", "pool_mode": "transaction",
                "max_client_conn": "500", "default_pool_size": "4",
            ].merging(settings) { $1 }
            let lines = all.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)\n" }.joined()
            try account.createFile(
                "\(folder)/pgbouncer.ini",
                "[databases]\n* = host=127.0.0.1 port=\(server.port)\n[pgbouncer]\n" + lines)
            let (command, prefix) = account.command(program)
            let process = try await ServerProcess.start(
                [command] + prefix + ["\(folder)/pgbouncer.ini"], stopSignal: "KILL", removing: folder,
                readyWhen: "process up")
            return TestPgBouncer(port, process)
        } catch {
            try? FileManager.default.removeItem(atPath: folder)
            throw error
        }
    }

    private init(_ port: ReservedPort, _ process: ServerProcess) {
        reserved = port
        self.process = process
    }

    /// Stops PgBouncer and removes its files. Its connections end at once.
    public func stop() async { await process.stop() }
}
