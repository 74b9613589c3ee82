import ApusCore
import ApusData
import Logging
import NIOCore
import NIOPosix

/// An advisory lock that one process at a time holds while it migrates a database.
///
/// It is held on a connection of its own, past any connection pooler, and ends with that connection. It is polled
/// for: a session that waited for it inside a statement would have a snapshot, for which `CREATE INDEX CONCURRENTLY`
/// of the process that migrates would wait in turn.
struct MigrationLock: Sendable {
    /// The key of the lock: "apus mig" in ASCII.
    static let key: Int64 = 0x6170_7573_206D_6967

    /// The databases that the current task migrates.
    @TaskLocal private static var databases: Set<ObjectIdentifier> = []

    /// How long a statement of a migration waits for a lock. Everybody else who needs the table waits behind it.
    private static let lockTimeout = "2s"
    /// How often a migration is tried again when it could not lock a table.
    private static let retries = 20
    private static let (firstDelay, maximumDelay) = (50, 1000)
    private static let releaseTimeout = TimeAmount.seconds(5)

    private let connector: PostgresConnector
    private let loop: any EventLoop
    private let log: Logger

    init(_ configuration: PostgresConfiguration, on loop: any EventLoop, log: Logger) throws {
        connector = try PostgresConnector(configuration.direct, log: log)
        self.loop = loop
        self.log = log
    }

    static func isHeld(for database: PostgresDatabase) -> Bool { databases.contains(ObjectIdentifier(database)) }

    /// Returns how a transaction runs, and the statements that begin it. One of a migration gives up early if it has to
    /// wait for a lock, and is tried again.
    static func adapted(
        _ options: TransactionOptions, on database: PostgresDatabase
    ) -> (options: TransactionOptions, begin: [String]) {
        guard isHeld(for: database) else { return (options, [options.begin]) }
        var adapted = options
        adapted.retries = max(options.retries, retries)
        return (adapted, [options.begin, "SET LOCAL lock_timeout = '\(lockTimeout)'"])
    }

    /// Runs a closure while no other process has the lock.
    func hold<Result>(for database: PostgresDatabase, _ body: () async throws -> Result) async throws -> Result {
        let connection = try await connector.connect(on: loop, LoopStatements())
        do {
            guard await !connection.onLoop({ $0.isPooled }) else { throw Self.pooled }
            try await acquire(on: connection)
            let databases = Self.databases.union([ObjectIdentifier(database)])
            let result = try await Self.$databases.withValue(databases, operation: body)
            await warnOfInvalidIndexes(on: connection)
            await release(connection)
            return result
        } catch {
            await release(connection)
            throw error
        }
    }

    private static var pooled: AppError {
        AppError(
            .failedPrecondition,
            "Migrations need a direct connection to the database, but this one leads through a connection pooler. "
                + "Name the server by direct_host in the URL.")
    }

    private func acquire(on connection: PostgresConnection) async throws {
        var delay = Self.firstDelay
        while try await !isAcquired(on: connection) {
            if delay == Self.firstDelay { log.info("waiting for another process that migrates the database") }
            try await Task.sleep(for: .milliseconds(Int.random(in: delay / 2...delay)))
            delay = min(delay * 2, Self.maximumDelay)
        }
    }

    private func isAcquired(on connection: PostgresConnection) async throws -> Bool {
        let sql = "SELECT pg_catalog.pg_try_advisory_lock(\(Self.key))"
        guard let row = try await PendingRequest(.simple(sql)).perform(on: connection).rows.first else { return false }
        return try row.get(0, as: Bool.self)
    }

    /// Releases the lock, so that it is free when this returns, and ends the connection, which releases it in any case.
    private func release(_ connection: PostgresConnection) async {
        let watchdog = loop.scheduleTask(in: Self.releaseTimeout) { connection.close() }
        await connection.settle()
        let request = PendingRequest(.simple("SELECT pg_catalog.pg_advisory_unlock_all()"))
        do {
            _ = try await request.performUncancelled(on: connection)
        } catch {
            log.warning("the lock of migrations was lost", metadata: ["error": "\(String(reflecting: error))"])
        }
        watchdog.cancel()
        await connection.onLoop { $0.close() }
    }

    /// Warns of indexes that `CREATE INDEX CONCURRENTLY` has left behind when it failed. They cost each write, and no
    /// query uses them; `CREATE INDEX IF NOT EXISTS` takes them for complete.
    private func warnOfInvalidIndexes(on connection: PostgresConnection) async {
        let sql = "SELECT indexrelid::pg_catalog.regclass::text FROM pg_catalog.pg_index WHERE NOT indisvalid"
        let rows = try? await PendingRequest(.simple(sql)).performUncancelled(on: connection).rows
        let names = (rows ?? []).compactMap { try? $0.get(0, as: String.self) }
        guard !names.isEmpty else { return }
        log.warning(
            "there are invalid indexes; drop them and create them again",
            metadata: ["indexes": .array(names.map { .string($0) })])
    }
}
