import Apus
import Synchronization

/// A database whose changes are rolled back at the end of a test.
///
/// While it rolls back, the statements of all tasks run in one transaction of the underlying database, and each
/// transaction is a savepoint of that one. Before, they run as they are, such as migrations.
final class RolledBackDatabase: Database {
    private enum State {
        case direct
        case rollingBack(AmbientTransaction)
        case ended
    }

    let base: any Database
    private let state = Mutex(State.direct)
    private let turns = Turns()

    init(_ base: any Database) { self.base = base }

    var dialect: SQLDialect { base.dialect }

    var name: String { base.name }

    /// Runs a closure, and rolls back what it and all others do meanwhile.
    func rollingBack<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        let (begun, begin) = AsyncThrowingStream.makeStream(of: AmbientTransaction.self)
        let (finished, finish) = AsyncStream.makeStream(of: Never.self)
        // The transaction is that of another task: outside of its own units of work, the test is in none.
        let holder = Task.detached { [base] in
            do {
                try await base.transaction { () async throws -> Void in
                    if let root = AmbientTransaction.current(of: base) { begin.yield(root) }
                    for await _ in finished {}
                    throw RolledBack()
                }
            } catch {
                begin.finish(throwing: error)
            }
        }
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await run(in: begun, body))
        } catch {
            result = .failure(error)
        }
        state.withLock { $0 = .ended }
        finish.finish()
        await holder.value
        return try result.get()
    }

    private func run<Result>(
        in begun: AsyncThrowingStream<AmbientTransaction, any Error>, _ body: () async throws -> Result
    ) async throws -> Result {
        var iterator = begun.makeAsyncIterator()
        guard let root = try await iterator.next() else { throw CancellationError() }
        state.withLock { $0 = .rollingBack(root) }
        return try await body()
    }

    private static var ended: AppError { AppError(.aborted, "The test has ended, and its database with it.") }

    /// The transaction that is rolled back; `nil` if statements run as they are.
    private var root: AmbientTransaction? {
        get throws {
            switch state.withLock({ $0 }) {
            case .direct: nil
            case .rollingBack(let root): root
            case .ended: throw Self.ended
            }
        }
    }

    // MARK: Statements

    func query(_ sql: SQL) async throws -> [Row] { try await run(sql) { try await $0.query(sql) } }

    @discardableResult
    func execute(_ sql: SQL) async throws -> Int { try await run(sql) { try await $0.execute(sql) } }

    private func run<Result: Sendable>(
        _ sql: SQL, _ statement: (any Database) async throws -> Result
    ) async throws -> Result {
        guard let root = try root else { return try await statement(base) }
        guard let ambient = try AmbientTransaction.open(on: self) else {
            // A statement of its own that fails must not make the whole test fail.
            return try await transaction { try await run(sql, statement) }
        }
        return try await ambient.run(isWrite: !sql.isRead) {
            try await AmbientTransaction.$current.withValue(root) { try await statement(base) }
        }
    }

    // MARK: Transactions

    @discardableResult
    func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await transaction(TransactionOptions(), body)
    }

    @discardableResult
    func transaction<Result: Sendable>(
        _ options: TransactionOptions, _ body: () async throws -> Result
    ) async throws -> Result {
        guard let root = try root else { return try await base.transaction(options, body) }
        return try await options.run(on: self, body) {
            let (result, actions) = try await turns.run { try await savepoint(of: root, body) }
            for action in actions { action() }
            return result
        }
    }

    /// Runs a transaction of the app as a savepoint.
    private func savepoint<Result: Sendable>(
        of root: AmbientTransaction, _ body: () async throws -> Result
    ) async throws -> (Result, [@Sendable () -> Void]) {
        let ambient = AmbientTransaction(database: self, session: ())
        do {
            let result = try await AmbientTransaction.$current.withValue(root) {
                try await base.transaction(.savepoint) {
                    let result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
                    if let hook = try ambient.prepareCommit(self) {
                        let rows = try await AmbientTransaction.$current.withValue(root) {
                            try await base.execute(hook.statement)
                        }
                        try hook.check(rows)
                    }
                    return result
                }
            }
            return (result, ambient.committed())
        } catch {
            ambient.rolledBack()
            throw error
        }
    }

    // MARK: The rest

    var statistics: DatabaseStatistics { base.statistics }

    /// In the transaction, because SQLite in memory has no other connection.
    func checkHealth() async throws { _ = try await query("SELECT 1") }

    func close() async { await base.close() }
}

/// Ends the transaction of a test without a commit.
private struct RolledBack: Error {}

/// Opens databases that can be rolled back.
struct RolledBackEngine: DatabaseEngine {
    let engine: any DatabaseEngine

    var schemes: [String] { engine.schemes }

    func open(_ url: String) throws -> any Database { RolledBackDatabase(try engine.open(url)) }

    func open(_ url: String, _ settings: DatabaseSettings) throws -> any Database {
        RolledBackDatabase(try engine.open(url, settings))
    }
}
