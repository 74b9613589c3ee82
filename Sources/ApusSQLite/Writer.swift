import ApusCore
import Foundation
import GRDB

/// The one thread that writes. Single writes that wait are committed together; a transaction that awaits holds the thread.
final class Writer: Sendable {
    enum Item: Sendable {
        case single(Operation)
        case transaction(WriteTransaction)
    }

    private let connection: SQLiteConnection
    private let options: SQLiteOptions
    private let lock: WriteLock
    private let queue = WorkQueue<Item>()
    private let stopped = WorkQueue<Void>()
    private let committed = WorkQueue<@Sendable () -> Void>()

    init(_ connection: SQLiteConnection, _ options: SQLiteOptions, _ lock: WriteLock) {
        self.connection = connection
        self.options = options
        self.lock = lock
    }

    func start() {
        startThread("apus.sqlite.writer") { self.loop() }
        startThread("apus.sqlite.committed") { [committed] in
            while let action = committed.pop().first { action() }
        }
    }

    /// Runs what follows a commit, after what follows earlier ones. Called on the writer's thread.
    func afterCommit(_ actions: [@Sendable () -> Void], _ done: @escaping @Sendable () -> Void) {
        guard !actions.isEmpty else { return done() }
        for action in actions + [done] where !committed.push(action) { action() }
    }

    func submit(_ item: Item) -> Bool { queue.push(item) }

    /// Blocks until everything that waits is done.
    func close() {
        queue.close()
        _ = stopped.pop()
    }

    private func loop() {
        while true {
            let items = queue.pop(atMost: options.groupedWrites)
            guard !items.isEmpty else { break }
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
                    transaction.run(on: connection, limit: options.idleTransactionLimit, lock)
                }
            }
            commit(singles)
        }
        connection.close()
        committed.close()
        stopped.close()
    }

    private func commit(_ operations: [Operation]) {
        guard !operations.isEmpty else { return }
        do {
            try lock.acquire(for: operations) { try connection.use { try $0.execute(sql: "BEGIN IMMEDIATE") } }
        } catch {
            // Another process has the lock: to try each by itself would make the last one wait for all.
            for operation in operations { operation.finish(error) }
            return
        }
        let begun = operations.filter { $0.begin() }
        if begun.count == 1 {
            let outcome = failure { database in
                try begun[0].run(on: database)
                try database.execute(sql: "COMMIT")
            }
            _ = failure { if $0.isInsideTransaction { try $0.execute(sql: "ROLLBACK") } }
            begun[0].finish(outcome)
        } else if let failures = commitTogether(begun) {
            for (operation, failure) in zip(begun, failures) { operation.finish(failure) }
        } else {
            // The group as such failed, as at a full disk: each then succeeds or fails by itself.
            for operation in begun { operation.finish(failure { try operation.run(on: $0) }) }
        }
    }

    private func runAlone(_ operation: Operation) {
        guard operation.begin() else { return }
        operation.finish(failure { try operation.run(on: $0) })
    }

    /// Runs a group in the open transaction, and commits it.
    /// - Returns: What became of each; `nil` when the group could not be committed, and nothing of it is stored.
    private func commitTogether(_ operations: [Operation]) -> [(any Error)?]? {
        var failures: [(any Error)?] = []
        let outcome = failure { database in
            for operation in operations { failures.append(try Self.runInside(operation, database)) }
            try database.execute(sql: "COMMIT")
        }
        guard outcome != nil else { return failures }
        _ = failure { if $0.isInsideTransaction { try $0.execute(sql: "ROLLBACK") } }
        return nil
    }

    /// Runs one of a group, so that its failure undoes itself and not the group.
    /// - Throws: When the transaction of the group is gone or cannot be gone on with.
    private static func runInside(_ operation: Operation, _ database: GRDB.Database) throws -> (any Error)? {
        try database.execute(sql: "SAVEPOINT single")
        do {
            try SQLiteConnection.translatingErrors { try operation.run(on: database) }
        } catch {
            // On some errors SQLite rolls the whole transaction back by itself.
            guard database.isInsideTransaction else { throw error }
            try database.execute(sql: "ROLLBACK TO single")
            try database.execute(sql: "RELEASE single")
            return error
        }
        try database.execute(sql: "RELEASE single")
        return nil
    }

    private func failure(_ body: (GRDB.Database) throws -> Void) -> (any Error)? {
        do {
            try connection.use(body)
            return nil
        } catch {
            return error
        }
    }
}
