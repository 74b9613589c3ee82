import ApusCore
public import ApusData
import GRDB
import Logging
import Synchronization

/// A SQLite database file in write-ahead-logging mode, with one writer thread and several reader threads. SQLite never
/// runs on an event loop.
///
/// Transactions are `IMMEDIATE`: a transaction holds the writer from its beginning, so keep it short and do not wait
/// for anything else in it. Single writes that queue up behind it are committed together.
public final class SQLiteDatabase: ApusData.Database {
    private let writer: Writer
    private let readers: Readers?
    /// Held until the database is closed; `nil` in memory.
    private let fileLock: Mutex<FileLock?>

    public let dialect = SQLDialect.sqlite

    /// Opens a database.
    /// - Parameter path: The path of the file, which is created if it does not exist, or `:memory:`.
    /// - Throws: An `AppError` of code `unavailable` if the file cannot be opened, or is being restored.
    public init(path: String, options: SQLiteOptions = SQLiteOptions()) throws {
        SQLiteVersion.current.log(to: Logger(label: "apus.sqlite"))
        let isInMemory = path == ":memory:"
        let fileLock = isInMemory ? nil : try FileLock(besides: path, .shared)
        let lock = WriteLock(timeout: options.busyTimeout)
        let connections = try Connections(path: path, options, lock)
        let readers = connections.readers.isEmpty ? nil : Readers(connections.readers)
        self.fileLock = Mutex(fileLock)
        self.readers = readers
        writer = Writer(connections.writer, connections.checkpointer, readers, options, lock)
        readers?.start()
        writer.start()
    }

    public func query(_ sql: ApusData.SQL) async throws -> [ApusData.Row] {
        if !sql.isRead, let result = try await runWithCompanion({ try await query(sql) }) { return result }
        if let transaction = currentTransaction { return try await transaction.run { try $0.rows(of: sql) } }
        if let readers, sql.isRead { return try await Operation.run(submit: readers.submit) { try $0.rows(of: sql) } }
        return try await Operation.run(runsAlone: sql.runsAlone, submit: { writer.submit(.single($0)) }) {
            try $0.rows(of: sql)
        }
    }

    @discardableResult
    public func execute(_ sql: ApusData.SQL) async throws -> Int {
        if let result = try await runWithCompanion({ try await execute(sql) }) { return result }
        if let transaction = currentTransaction { return try await transaction.run { try $0.executeUpdate(sql) } }
        return try await Operation.run(runsAlone: sql.runsAlone, submit: { writer.submit(.single($0)) }) {
            try $0.executeUpdate(sql)
        }
    }

    @discardableResult
    public func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        if let ambient = AmbientTransaction.current(of: self) { return try await ambient.join(body) }
        let transaction = WriteTransaction()
        try await Operation.run(submit: { operation in
            transaction.setStart(operation)
            return writer.submit(.transaction(transaction))
        }) { _ in }
        let ambient = AmbientTransaction(database: self, session: transaction)
        let result: Result
        do {
            result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
            try await ambient.prepareCommit(self)
            try Task.checkCancellation()
            try await transaction.commit { [writer] completion in
                writer.afterCommit(ambient.committed(), completion)
            }
        } catch {
            ambient.rolledBack()
            await transaction.rollback()
            throw error
        }
        return result
    }

    public func close() async {
        await withCheckedContinuation { continuation in
            startThread("apus.sqlite.close") {
                // The writer's connection is the last one, which can checkpoint when it is closed.
                self.readers?.close()
                self.writer.close()
                self.fileLock.withLock { $0 = nil }
                continuation.resume()
            }
        }
    }

    /// Records a write in the current transaction. Outside of one, a write that has a companion is run together with it
    /// in a new transaction.
    /// - Returns: The result of the write in the new transaction; `nil` if the caller has to run the write.
    private func runWithCompanion<Result: Sendable>(_ write: () async throws -> Result) async throws -> Result? {
        if let ambient = AmbientTransaction.current(of: self) {
            ambient.noteWrite()
        } else if CommitHook.current(of: self) != nil {
            return try await transaction(write)
        }
        return nil
    }

    private var currentTransaction: WriteTransaction? {
        AmbientTransaction.current(of: self)?.session as? WriteTransaction
    }
}
