import ApusCore
import Foundation
import GRDB

/// The single writer thread. Queued single writes are committed together; a transaction occupies the thread until it
/// ends.
final class Writer: Sendable {
    enum Item: Sendable {
        case single(Operation)
        case transaction(TransactionSession)
    }

    private let connection: SQLiteConnection
    private let checkpointer: Checkpointer?
    private let readers: Readers?
    private let options: SQLiteOptions
    private let lock: WriteLock
    private let file: FileIdentity
    private let visits = VisitCounter()
    private let queue = WorkQueue<Item>()
    private let stopped = WorkQueue<Void>()
    private let commitActions = WorkQueue<@Sendable () -> Void>()

    /// Creates the writer of a connection, which it closes in the end.
    /// - Parameters:
    ///   - checkpointer: `nil` for a database in memory.
    ///   - readers: Those to pause when reads without a gap keep the write-ahead log from beginning anew.
    init(
        _ connection: SQLiteConnection, _ checkpointer: Checkpointer?, _ readers: Readers?, _ options: SQLiteOptions,
        _ lock: WriteLock, _ file: FileIdentity
    ) {
        self.connection = connection
        self.checkpointer = checkpointer
        self.readers = readers
        self.options = options
        self.lock = lock
        self.file = file
    }

    func start() {
        startThread("apus.sqlite.writer") { self.loop() }
        startThread("apus.sqlite.committed") { [commitActions] in
            while let action = commitActions.pop()?.first { action() }
        }
    }

    /// Runs the actions that follow a commit, after those of earlier commits. Called on the writer thread.
    func afterCommit(_ actions: [@Sendable () -> Void], _ completion: @escaping @Sendable () -> Void) {
        guard !actions.isEmpty else { return completion() }
        for action in actions + [completion] where !commitActions.push(action) { action() }
    }

    func submit(_ item: Item) -> Bool { queue.push(item) }

    /// Blocks until all queued items have been processed.
    func close() {
        queue.close()
        _ = stopped.pop()
    }

    /// The number of writes and transactions that wait for the thread.
    var waiting: Int { queue.count }

    /// The number of visits so far.
    var visitCount: Int { visits.count }

    /// The length of the write-ahead log, in pages.
    var logPages: Int { checkpointer?.pages ?? 0 }

    /// How long the writer waits for work before it checkpoints what the last writes left, in seconds.
    private static let idleTime = 1.0

    private func loop() {
        var gathers = false
        while let items = queue.pop(atMost: options.groupedWrites, until: idleDeadline, gathers: gathers) {
            if items.isEmpty { checkpointWhenIdle() } else { process(items) }
            // Several tasks write at the same time. If each write were committed as soon as it comes, the thread would use
            // the processor for many small commits, and keep the tasks from coming together.
            gathers = items.count > 1
        }
        checkpointer?.close()
        connection.close()
        commitActions.close()
        stopped.close()
    }

    private var idleDeadline: Date? {
        checkpointer?.isIncomplete == true ? Date(timeIntervalSinceNow: Self.idleTime) : nil
    }

    private func process(_ items: [Item]) {
        var singles: [Operation] = []
        for item in items {
            switch item {
            case .single(let operation) where operation.runsAlone:
                commit(singles)
                singles = []
                runAlone(operation)
            case .single(let operation): singles.append(operation)
            case .transaction(let transaction):
                commit(singles)
                singles = []
                transaction.run(on: connection, limit: options.idleTransactionLimit, visits: visits) {
                    try begin(for: [$0])
                }
            }
        }
        commit(singles)
    }

    /// Begins a transaction with the write lock. Checkpoints before that if it is time.
    private func begin(for operations: [Operation]) throws {
        try connection.use(file.check)
        // Open only if the last one could not be rolled back.
        rollBackIfOpen()
        try beginImmediate(for: operations)
        guard let checkpointer, checkpointer.isDue else { return }
        if checkpointer.isOverdue, let readers {
            readers.gate.pause(upTo: .milliseconds(100)) {
                checkpoint(checkpointer)
                restartLog()
            }
        } else {
            checkpoint(checkpointer)
        }
        try beginImmediate(for: operations)
    }

    private func beginImmediate(for operations: [Operation]) throws {
        try lock.acquire(for: operations) { try connection.use { try $0.control("BEGIN IMMEDIATE") } }
    }

    /// Checkpoints in a transaction that has just begun, and ends it.
    private func checkpoint(_ checkpointer: Checkpointer) {
        checkpointer.run()
        rollBackIfOpen()
    }

    private func checkpointWhenIdle() {
        // Not if another process writes: the next write, or that process, will do it.
        guard let checkpointer, (try? beginImmediate(for: [])) != nil else { return }
        checkpoint(checkpointer)
        if !checkpointer.isIncomplete, checkpointer.isLong { restartLog() }
    }

    /// Commits a page that does not change, so that the write-ahead log begins anew and its file is cut. Without effect
    /// if there are readers of the old pages, or another process holds the lock.
    private func restartLog() {
        guard (try? beginImmediate(for: [])) != nil else { return }
        try? connection.use { connection in
            let version = try Int.fetchOne(connection.database, sql: "PRAGMA user_version") ?? 0
            try connection.database.execute(sql: "PRAGMA user_version = \(version)")
            try connection.control("COMMIT")
        }
        rollBackIfOpen()
    }

    private func commit(_ operations: [Operation]) {
        guard !operations.isEmpty else { return }
        do {
            try begin(for: operations)
        } catch {
            // Another process holds the lock. Trying each write separately would add up their wait times.
            for operation in operations { operation.finish(error) }
            return
        }
        let started = operations.filter { $0.begin() }
        for _ in started { visits.increment() }
        if started.count == 1 {
            runAndCommit(started[0])
        } else if let failures = commitTogether(started) {
            for (operation, failure) in zip(started, failures) { operation.finish(failure) }
        } else {
            // The group failed as a whole, for example because the disk is full, or because one of them was cancelled:
            // run each write separately.
            for operation in started { runSeparately(operation) }
        }
    }

    /// Runs a write in the open transaction and commits it.
    private func runAndCommit(_ operation: Operation) {
        let outcome = outcome {
            try connection.use { open in
                try connection.run(operation, on: open)
                try open.control("COMMIT")
            }
        }
        rollBackIfOpen()
        operation.finish(outcome)
    }

    /// Runs a write that has begun in a transaction of its own.
    private func runSeparately(_ operation: Operation) {
        guard !operation.isCancelled else { return operation.finish(CancellationError()) }
        do {
            try begin(for: [operation])
            runAndCommit(operation)
        } catch {
            operation.finish(error)
        }
    }

    private func runAlone(_ operation: Operation) {
        guard operation.begin() else { return }
        visits.increment()
        operation.finish(outcome { try lock.acquire(for: [operation]) { try connection.run(operation) } })
    }

    /// Runs a group of writes in the open transaction and commits it.
    /// - Returns: The error of each write, or `nil` for a success. `nil` instead of the array if the group could not be
    ///   committed and was rolled back.
    private func commitTogether(_ operations: [Operation]) -> [(any Error)?]? {
        var failures: [(any Error)?] = []
        let outcome = outcome {
            try connection.use { open in
                for operation in operations { failures.append(try runInSavepoint(operation, open)) }
                try open.control("COMMIT")
            }
        }
        guard outcome != nil else { return failures }
        rollBackIfOpen()
        return nil
    }

    /// Runs a write of a group in a savepoint, so that its failure does not affect the other writes.
    /// - Returns: The error of the write; `nil` if it succeeded.
    /// - Throws: If the transaction of the group was rolled back or cannot continue.
    private func runInSavepoint(_ operation: Operation, _ connection: OpenConnection) throws -> (any Error)? {
        try connection.control("SAVEPOINT single")
        do {
            try self.connection.run(operation, on: connection)
        } catch {
            // After some errors, SQLite rolls back the entire transaction by itself.
            guard connection.isInsideTransaction else { throw error }
            try connection.control("ROLLBACK TO single")
            try connection.control("RELEASE single")
            return error
        }
        try connection.control("RELEASE single")
        return nil
    }

    private func rollBackIfOpen() {
        try? connection.use { if $0.isInsideTransaction { try $0.control("ROLLBACK") } }
    }

    private func outcome(_ body: () throws -> Void) -> (any Error)? {
        do {
            try body()
            return nil
        } catch {
            return error
        }
    }
}
