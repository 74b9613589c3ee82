import ApusCore
public import ApusData
import Logging
import Synchronization

/// A SQLite database file in write-ahead-logging mode, with one writer thread and several reader threads. Short
/// reads run at once, on the thread of the caller; see ``SQLiteOptions/inlineReadInstructions``.
///
/// Transactions are `IMMEDIATE`: a transaction holds the writer from its beginning, so keep it short and do not wait
/// for anything else in it. Single writes that queue up behind it are committed together.
///
/// Several processes may have the file open. See ``SQLiteOptions`` and the documentation of the data layer.
public final class SQLiteDatabase: ApusData.Database {
    let writer: Writer
    let readers: Readers?
    private let inlineReads: InlineReads?
    let snapshots: Snapshots?
    let log: QueryLog
    let path: String
    let options: SQLiteOptions
    private let file: FileIdentity
    /// Held until the database is closed; `nil` in memory.
    private let fileLock: Mutex<FileLock?>
    private let closing = Mutex<Task<Void, Never>?>(nil)

    public let dialect = SQLDialect.sqlite

    /// The path of the file, or `:memory:`.
    public var name: String { path }

    /// Opens a database.
    /// - Parameter path: The path of the file, which is created if it does not exist, or `:memory:`.
    /// - Throws: An `AppError` of code `unavailable` if the file cannot be opened, or is being restored.
    public init(path: String, options: SQLiteOptions = SQLiteOptions()) throws {
        let logger = Logger(label: "apus.sqlite")
        SQLiteVersion.current.log(to: logger)
        log = QueryLog(logger, dialect: .sqlite, slowQuery: options.slowQuery)
        (self.path, self.options) = (path, options)
        let isInMemory = path == ":memory:"
        let fileLock = isInMemory ? nil : try FileLock(besides: path, .shared)
        let lock = WriteLock(timeout: options.busyTimeout)
        file = FileIdentity(of: path)
        let connections = try Connections(path: path, options, lock)
        let readers = connections.readers.isEmpty ? nil : Readers(connections.readers)
        self.fileLock = Mutex(fileLock)
        self.readers = readers
        inlineReads = readers.flatMap { readers in
            connections.inlineReaders.isEmpty
                ? nil
                : InlineReads(
                    connections.inlineReaders, instructions: options.inlineReadInstructions, gate: readers.gate)
        }
        snapshots =
            isInMemory
            ? nil
            : Snapshots(limit: max(1, options.snapshots), idleLimit: options.idleTransactionLimit) {
                try SQLiteConnection(path: path, options: options, for: .reading)
            }
        writer = Writer(connections.writer, connections.checkpointer, readers, options, lock, file)
        readers?.start()
        writer.start()
    }

    public func query(_ sql: ApusData.SQL) async throws -> [ApusData.Row] {
        if sql.isRead, let (rows, duration) = try await readInline({ try $0.rows(of: sql) }) {
            log.record(sql, duration: duration, rows: rows.count)
            return rows
        }
        let (rows, duration) = try await run(sql, isWrite: !sql.isRead) { connection in
            try Self.measure { try connection.rows(of: sql) }
        }
        log.record(sql, duration: duration, rows: rows.count)
        return rows
    }

    @discardableResult
    public func execute(_ sql: ApusData.SQL) async throws -> Int {
        let (count, duration) = try await run(sql, isWrite: true) { connection in
            try Self.measure { try connection.executeUpdate(sql) }
        }
        log.record(sql, duration: duration, rows: count)
        return count
    }

    /// Runs a statement in the task's transaction, or on the connection for statements of its kind.
    private func run<Result: Sendable>(
        _ sql: ApusData.SQL, isWrite: Bool, _ body: @escaping @Sendable (OpenConnection) throws -> Result
    ) async throws -> Result {
        if let (ambient, session) = try currentTransaction() {
            return try await ambient.run(isWrite: isWrite) { try await session.run(body) }
        }
        if !isWrite, let readers { return try await Operation.run(submit: readers.submit, body) }
        let hook = isWrite ? CommitHook.current(of: self) : nil
        return try await Operation.run(runsAlone: sql.runsAlone, submit: { writer.submit(.single($0)) }) { connection in
            let result = try body(connection)
            if let hook { try connection.run(hook) }
            return result
        }
    }

    /// Returns the transaction that the statements of the task join.
    /// - Throws: If the task has outlived it, or is in one of another database.
    func currentTransaction() throws -> (AmbientTransaction, TransactionSession)? {
        guard let ambient = try AmbientTransaction.open(on: self), let session = ambient.session as? TransactionSession
        else { return nil }
        return (ambient, session)
    }

    /// Runs short reads at once.
    /// - Returns: `nil` if they have to run on another thread.
    func readInline<Result>(_ read: (InlineReads) throws -> Result?) async throws -> Result? {
        guard let inlineReads, try currentTransaction() == nil else { return nil }
        try Task.checkCancellation()
        await inlineReads.takeTurn()
        return try read(inlineReads)
    }

    static func measure<Result>(_ body: () throws -> Result) rethrows -> (Result, Duration) {
        let start = ContinuousClock.now
        let result = try body()
        return (result, start.duration(to: .now))
    }

    /// Checks that reads are answered, and that the file is still the one of its path.
    /// - Throws: An `AppError` of code `unavailable`.
    public func checkHealth() async throws {
        try await Operation.run(submit: { readers?.submit($0) ?? writer.submit(.single($0)) }) { [file] connection in
            _ = try connection.rows(of: "SELECT 1")
            try file.check(connection)
        }
    }

    /// Closes the database once, and returns when it is closed.
    public func close() async {
        let task = closing.withLock { closing in
            let task = closing ?? Task { await closeConnections() }
            closing = task
            return task
        }
        await task.value
    }

    private func closeConnections() async {
        await withCheckedContinuation { continuation in
            startThread("apus.sqlite.close") {
                // Once no read runs any more.
                self.readers?.gate.pause(upTo: .seconds(1)) { self.inlineReads?.close() }
                self.readers?.close()
                self.snapshots?.close()
                // The last connection, which can checkpoint when it is closed.
                self.writer.close()
                self.fileLock.withLock { $0 = nil }
                continuation.resume()
            }
        }
    }

    public var statistics: DatabaseStatistics {
        var statistics = DatabaseStatistics()
        statistics.connections = (readers?.count ?? 0) + (inlineReads?.count ?? 0) + (snapshots?.connections ?? 0) + 1
        statistics.waiting = writer.waiting + (readers?.waiting ?? 0) + (snapshots?.waiting ?? 0)
        statistics.logPages = writer.logPages
        return statistics
    }
}
