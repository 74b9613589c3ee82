import ApusCore
public import ApusData
public import Logging
import NIOCore
import NIOPosix
import Synchronization

/// A Postgres database.
///
/// Single statements of different tasks share a few connections per event loop and are pipelined. Transactions have a
/// connection for themselves. A statement that is called on an event loop, as the handlers of the server are, runs on a
/// connection of that loop and resumes there.
///
/// A statement ends at the deadline of its task, or when the task is cancelled: it is then cancelled on the server.
public final class PostgresDatabase: Database {
    let configuration: PostgresConfiguration
    let connector: PostgresConnector
    let log: Logger
    let queries: QueryLog
    let exclusive: ExclusivePool
    private let loops: LoopPools
    let afterCommit = AfterCommitActions()
    let listener: NotificationListener

    public let dialect = SQLDialect.postgres

    /// The host and the name of the database.
    public var name: String { "\(configuration.hosts.first.map { "\($0)/" } ?? "")\(configuration.database)" }

    /// Opens a database. Connections are opened when they are needed.
    /// - Throws: An `AppError` of code `invalidArgument` if the root certificate cannot be read.
    public init(_ configuration: PostgresConfiguration, log: Logger = Logger(label: "apus.postgres")) throws {
        self.configuration = configuration
        self.log = log
        queries = QueryLog(log, dialect: .postgres, slowQuery: configuration.slowQuery)
        let connector = try PostgresConnector(configuration, log: log)
        let loops = LoopPools(connector)
        self.connector = connector
        self.loops = loops
        exclusive = ExclusivePool(connector: connector) { loops.pool(of: $0).statements }
        listener = try NotificationListener(configuration, log: log)
        loops.setTick { [weak exclusive] in exclusive?.trim() }
    }

    public func query(_ sql: SQL) async throws -> [Row] { try await run(sql).rows }

    @discardableResult
    public func execute(_ sql: SQL) async throws -> Int { try await run(sql).affectedRows }

    public func close() async {
        listener.close()
        await exclusive.close()
        await loops.close()
    }

    // MARK: Observing

    /// The connections of both kinds, and what waits for one of either kind.
    public var statistics: DatabaseStatistics {
        let (shared, exclusive) = (loops.load, exclusive.counts)
        var statistics = DatabaseStatistics()
        statistics.connections = shared.connections + exclusive.open
        statistics.waiting = shared.waiting + exclusive.waiting
        return statistics
    }

    /// The connections and the statements that use or wait for them, in more detail.
    public func detailedStatistics() async -> PostgresStatistics { await loops.statistics(exclusive) }

    /// Checks within 5 seconds that the server answers, on a shared connection.
    public func checkHealth() async throws {
        do {
            try await withDeadline(.after(Self.healthTimeout)) {
                _ = try await self.runAlone(PendingRequest("SELECT 1"))
            }
        } catch {
            try Task.checkCancellation()
            throw AppError(.unavailable, "The database does not respond.", cause: error)
        }
    }

    private static let healthTimeout = Duration.seconds(5)

    func record(_ sql: SQL, _ result: StatementResult) {
        let rows = result.rows.isEmpty ? result.affectedRows : result.rows.count
        queries.record(sql, duration: .nanoseconds(result.duration.nanoseconds), rows: rows)
    }

    // MARK: Statements

    private func run(_ sql: SQL) async throws -> StatementResult {
        let result: StatementResult
        if let (ambient, transaction) = try currentTransaction() {
            result = try await ambient.run(isWrite: !sql.isRead) { try await transaction.run(sql) }
        } else if CommitHook.current(of: self) != nil, !sql.isRead {
            // The hook runs in a new transaction together with the write.
            return try await transaction { try await self.run(sql) }
        } else {
            result = try await runAlone(PendingRequest(sql))
        }
        record(sql, result)
        return result
    }

    /// Runs a statement or a group outside of any transaction.
    func runAlone(_ request: PendingRequest) async throws -> StatementResult {
        try Task.checkCancellation()
        let pool = loops.pool(of: currentLoop)
        do {
            return try await request.perform(on: pool)
        } catch is LoopPool.RunsAlone {
            return try await exclusive.withConnection(on: pool.loop) {
                try await PendingRequest(request.kind).perform(on: $0)
            }
        } catch is LoopPool.WaitCancelled {
            throw AppError.cancelledWait(for: "the connections of the event loop")
        }
    }

    /// The event loop of the task, if it runs on one.
    var currentLoop: any EventLoop {
        MultiThreadedEventLoopGroup.currentEventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
    }

    /// Returns the transaction that the statements of the task join.
    /// - Throws: If the task has outlived it, or is in one of another database.
    func currentTransaction() throws -> (AmbientTransaction, PostgresTransaction)? {
        guard let ambient = try AmbientTransaction.open(on: self), let session = ambient.session as? PostgresTransaction
        else { return nil }
        return (ambient, session)
    }

    func statements(of loop: any EventLoop) -> LoopStatements { loops.pool(of: loop).statements }
}
