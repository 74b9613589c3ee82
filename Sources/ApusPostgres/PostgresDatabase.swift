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
    let exclusive: ExclusivePool
    private let loops: LoopPools
    private let afterCommit = AfterCommitActions()
    let listener: NotificationListener

    public let dialect = SQLDialect.postgres

    /// Opens a database. Connections are opened when they are needed.
    /// - Throws: An `AppError` of code `invalidArgument` if the root certificate cannot be read.
    public init(_ configuration: PostgresConfiguration, log: Logger = Logger(label: "apus.postgres")) throws {
        self.configuration = configuration
        self.log = log
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

    @discardableResult
    public func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await transaction(begin: "BEGIN", body)
    }

    /// Runs a closure in a transaction that begins with a statement such as `BEGIN ISOLATION LEVEL SERIALIZABLE`. It is
    /// sent together with the first statement. Inside another transaction, the closure joins that one.
    package func transaction<Result: Sendable>(
        begin: String, _ body: () async throws -> Result
    ) async throws -> Result {
        if let ambient = AmbientTransaction.current(of: self) { return try await ambient.join(body) }
        try Task.checkCancellation()
        let (result, actions) = try await exclusive.withConnection(on: currentLoop) { connection in
            await connection.beginTransaction(begin)
            let ambient = AmbientTransaction(database: self, session: PostgresTransaction(connection))
            do {
                let result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
                try await ambient.prepareCommit(self)
                try Task.checkCancellation()
                try await connection.commit()
                return (result, ambient.committed())
            } catch {
                ambient.rolledBack()
                await connection.rollback()
                throw error
            }
        }
        if !actions.isEmpty { await afterCommit.run(actions) }
        return result
    }

    public func close() async {
        listener.close()
        await exclusive.close()
        await loops.close()
    }

    /// The connections and the statements that use or wait for them.
    public func statistics() async -> PostgresStatistics { await loops.statistics(exclusive) }

    // MARK: Statements

    private func run(_ sql: SQL) async throws -> StatementResult {
        if let ambient = AmbientTransaction.current(of: self) {
            if !sql.isRead { ambient.noteWrite() }
        } else if CommitHook.current(of: self) != nil, !sql.isRead {
            // A write that has a companion is run together with it in a new transaction.
            return try await transaction { try await self.run(sql) }
        }
        let (text, values) = try sql.rendered(for: .postgres)
        if let transaction = currentTransaction { return try await transaction.run(text, values) }
        try Task.checkCancellation()
        let pool = loops.pool(of: currentLoop)
        do {
            return try await PendingRequest(.statement(text, values, keepsPrepared: true)).perform(on: pool)
        } catch is LoopPool.RunsAlone {
            return try await exclusive.withConnection(on: pool.loop) {
                try await PendingRequest(.statement(text, values, keepsPrepared: true)).perform(on: $0)
            }
        } catch is LoopPool.WaitCancelled {
            throw AppError.cancelledWait(for: "the connections of the event loop")
        }
    }

    /// The event loop of the task, if it runs on one.
    var currentLoop: any EventLoop {
        MultiThreadedEventLoopGroup.currentEventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
    }

    var currentTransaction: PostgresTransaction? {
        AmbientTransaction.current(of: self)?.session as? PostgresTransaction
    }

    func statements(of loop: any EventLoop) -> LoopStatements { loops.pool(of: loop).statements }
}
