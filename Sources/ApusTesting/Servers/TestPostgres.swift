import ApusCore
import ApusData
import Foundation
import Synchronization

/// A Postgres server for tests: in a temporary folder, on a free port of 127.0.0.1, without syncing to disk.
///
/// It stops when ``stop()`` is called, or when the process ends in whatever way.
public final class TestPostgres: Sendable {
    /// The port of the server, on 127.0.0.1.
    public var port: Int { reserved.number }
    /// The folder with the server's data and its Unix socket.
    public let folder: String
    let options: Options
    private let reserved: ReservedPort
    let process: Mutex<ServerProcess>
    let majorVersion: Int

    /// The options of a server.
    public struct Options: Sendable {
        /// Settings as in `postgresql.conf`, such as `max_connections`.
        public var settings: [String: String] = [:]
        /// How connections are authenticated, as in `pg_hba.conf`. `trust` by default.
        public var authentication = "trust"
        /// The password of the user `postgres`.
        public var password: String?
        /// Files to add to the server's folder, such as certificates, by their name.
        public var files: [String: String] = [:]

        public init() {}
    }

    /// Why no server can be started; `nil` if one can. Tests that need one are skipped with this reason.
    public static let unavailableReason: String? =
        Binaries.find() == nil ? "Postgres is not installed: there is no initdb." : nil

    /// Whether a server can be started. Prints the reason if not.
    public static let isAvailable: Bool = {
        if let unavailableReason { print("Skipping tests with Postgres: \(unavailableReason)") }
        return unavailableReason == nil
    }()

    private static let sharedTask = Mutex<Task<TestPostgres, any Error>?>(nil)

    /// Returns a server that the tests of the process share. It is started when it is first needed.
    public static func shared() async throws -> TestPostgres {
        let task = sharedTask.withLock { task in
            let running = task ?? Task { try await start() }
            task = running
            return running
        }
        return try await task.value
    }

    /// Starts a server, and waits until it accepts connections.
    /// - Throws: An `AppError` of code `unavailable` with the server's output if it does not start.
    public static func start(_ options: Options = Options()) async throws -> TestPostgres {
        let binaries = try installed()
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-postgres-\(UUID())").path
        let account = ServerAccount()
        try account.createFolder(folder)
        do {
            let version = try await binaries.majorVersion()
            try await binaries.initialize(folder, options, account)
            for (name, content) in options.files { try account.createFile("\(folder)/\(name)", content) }
            let port = try ReservedPort()
            let process = try await binaries.start(folder, port: port.number, options, account)
            return TestPostgres(port, folder: folder, options, majorVersion: version, process)
        } catch {
            try? FileManager.default.removeItem(atPath: folder)
            throw error
        }
    }

    static func installed() throws -> Binaries {
        guard let binaries = Binaries.find() else {
            throw AppError(.unavailable, unavailableReason ?? "Postgres is not installed.")
        }
        return binaries
    }

    init(_ port: ReservedPort, folder: String, _ options: Options, majorVersion: Int, _ process: ServerProcess) {
        reserved = port
        self.folder = folder
        self.options = options
        self.majorVersion = majorVersion
        self.process = Mutex(process)
    }

    /// Returns the URL of a database.
    /// - Parameter parameters: The parameters of the URL, such as `sslmode=disable`.
    public func url(database: String = "postgres", parameters: String = "") -> String {
        let credentials = options.password.map { "postgres:\($0)" } ?? "postgres"
        return "postgres://\(credentials)@127.0.0.1:\(port)/\(database)\(parameters.isEmpty ? "" : "?\(parameters)")"
    }

    /// Runs statements with `psql`, as an independent client.
    /// - Returns: The rows, a line each, with `|` between the columns.
    /// - Throws: An `AppError` of code `unavailable` with what `psql` has printed.
    @discardableResult
    public func psql(_ sql: String, database: String = "postgres") async throws -> String {
        let binaries = try Self.installed()
        let arguments = ["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url(database: database), "-c", sql]
        return try await Command.run(binaries.path("psql"), arguments)
    }

    /// Creates an empty database, and returns its name.
    /// - Parameter template: The database to copy. Nobody may be connected to it.
    public func createDatabase(template: String = "template1") async throws -> String {
        let name = "test_\(UUID().uuidString.filter { $0 != "-" }.lowercased())"
        try await psql("CREATE DATABASE \(name) TEMPLATE \(template)\(copying)")
        return name
    }

    /// Returns the statement that creates a database.
    func createStatement(_ name: String, template: String) -> SQL {
        "CREATE DATABASE \(identifier: name) TEMPLATE \(identifier: template)\(SQL(stringLiteral: copying))"
    }

    /// How to copy a template. Without syncing, to copy its files takes a third of the time of writing each block to the
    /// log, which Postgres does by default since version 15.
    private var copying: String { majorVersion >= 15 ? " STRATEGY file_copy" : "" }

    /// Stops the server and removes its folder. Its connections end at once.
    public func stop() async {
        await process.withLock { $0 }.stop()
        // It was kept if the server had been shut down before.
        try? FileManager.default.removeItem(atPath: folder)
    }
}
