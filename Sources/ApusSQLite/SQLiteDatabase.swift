import ApusCore
public import ApusData
import GRDB

/// A database in a file, with SQLite in write-ahead mode: one thread writes, some read, none of them is an event loop.
///
/// A transaction is an SQLite `IMMEDIATE` one: it holds the writer from its beginning, so keep it short and free of other
/// waits. Single writes that wait behind it are committed together.
public final class SQLiteDatabase: ApusData.Database {
    private let writer: Writer
    private let reads: WorkQueue<Operation>?

    public let dialect = SQLDialect.sqlite

    /// - Parameter path: A file, made if it is not there, or `:memory:`.
    /// - Throws: An `AppError` of code `unavailable` when the file cannot be opened.
    public init(path: String, options: SQLiteOptions = SQLiteOptions()) throws {
        let lock = WriteLock(timeout: options.busyTimeout)
        let connection = try SQLiteConnection(path: path, options: options, readonly: false) { lock.waits() }
        writer = Writer(connection, options, lock)
        if path == ":memory:" || options.readers < 1 {
            reads = nil
        } else {
            let queue = WorkQueue<Operation>()
            for _ in 0..<options.readers {
                let reader = try SQLiteConnection(path: path, options: options, readonly: true)
                startThread("apus.sqlite.reader") { Self.read(from: queue, on: reader) }
            }
            reads = queue
        }
        writer.start()
    }

    private static func read(from queue: WorkQueue<Operation>, on connection: SQLiteConnection) {
        while let operation = queue.pop().first {
            guard operation.begin(interrupt: connection.interrupt) else { continue }
            do {
                try connection.use(operation.run)
                operation.finish(nil)
            } catch let error as AppError where error.code == .cancelled {
                operation.finish(CancellationError())
            } catch {
                operation.finish(error)
            }
        }
        connection.close()
    }

    public func query(_ sql: ApusData.SQL) async throws -> [ApusData.Row] {
        if !sql.isRead, let result = try await joined({ try await query(sql) }) { return result }
        if let transaction = current { return try await transaction.run { try $0.rows(of: sql) } }
        if let reads, sql.isRead { return try await Operation.run(submit: reads.push) { try $0.rows(of: sql) } }
        return try await Operation.run(runsAlone: sql.runsAlone, submit: { writer.submit(.single($0)) }) {
            try $0.rows(of: sql)
        }
    }

    @discardableResult
    public func execute(_ sql: ApusData.SQL) async throws -> Int {
        if let result = try await joined({ try await execute(sql) }) { return result }
        if let transaction = current { return try await transaction.run { try $0.change(by: sql) } }
        return try await Operation.run(runsAlone: sql.runsAlone, submit: { writer.submit(.single($0)) }) {
            try $0.change(by: sql)
        }
    }

    @discardableResult
    public func transaction<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        if let ambient = AmbientTransaction.current(of: self) { return try await ambient.join(body) }
        let transaction = WriteTransaction()
        try await Operation.run(submit: { operation in
            transaction.onStart(operation)
            return writer.submit(.transaction(transaction))
        }) { _ in }
        let ambient = AmbientTransaction(database: self, session: transaction)
        let result: Result
        do {
            result = try await AmbientTransaction.$current.withValue(ambient, operation: body)
            try await ambient.prepareCommit(self)
            try Task.checkCancellation()
            try await transaction.commit { [writer] done in writer.afterCommit(ambient.committed(), done) }
        } catch {
            ambient.rolledBack()
            await transaction.rollback()
            throw error
        }
        return result
    }

    public func close() async {
        reads?.close()
        await withCheckedContinuation { continuation in
            startThread("apus.sqlite.close") {
                self.writer.close()
                continuation.resume()
            }
        }
    }

    /// Notes a write in the present transaction. Outside of one, a write that has a companion is run in a transaction for both.
    /// - Returns: What the write gave there; `nil` when it is still to be run.
    private func joined<Result: Sendable>(_ write: () async throws -> Result) async throws -> Result? {
        if let ambient = AmbientTransaction.current(of: self) {
            ambient.noteWrite()
        } else if CommitCompanion.current(of: self) != nil {
            return try await transaction(write)
        }
        return nil
    }

    private var current: WriteTransaction? {
        AmbientTransaction.current(of: self)?.session as? WriteTransaction
    }
}
