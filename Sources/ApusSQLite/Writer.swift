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
    private let queue = WorkQueue<Item>()
    private let stopped = WorkQueue<Void>()

    init(_ connection: SQLiteConnection, _ options: SQLiteOptions) {
        self.connection = connection
        self.options = options
    }

    func start() { startThread("apus.sqlite.writer") { self.loop() } }

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
                case .single(let operation): singles.append(operation)
                case .transaction(let transaction):
                    commit(singles)
                    singles = []
                    transaction.run(on: connection, limit: options.idleTransactionLimit)
                }
            }
            commit(singles)
        }
        connection.close()
        stopped.close()
    }

    private func commit(_ operations: [Operation]) {
        let operations = operations.filter { $0.begin() }
        if operations.count > 1, let failures = commitTogether(operations) {
            for (operation, failure) in zip(operations, failures) { operation.finish(failure) }
        } else {
            // One alone; or the group as such failed, as at a full disk: each then succeeds or fails by itself.
            for operation in operations { operation.finish(failure { try operation.run(on: $0) }) }
        }
    }

    /// Commits a group.
    /// - Returns: What became of each; `nil` when the group could not be committed, and nothing of it is stored.
    private func commitTogether(_ operations: [Operation]) -> [(any Error)?]? {
        var failures: [(any Error)?] = []
        let outcome = failure { database in
            try database.execute(sql: "BEGIN IMMEDIATE")
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
