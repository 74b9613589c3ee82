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
                    transaction.run(on: connection, limit: options.transactionLimit)
                }
            }
            commit(singles)
        }
        connection.close()
        stopped.close()
    }

    private func commit(_ operations: [Operation]) {
        let operations = operations.filter { $0.begin() }
        guard operations.count > 1 else {
            if let only = operations.first { only.finish(failure { try only.run(on: $0) }) }
            return
        }
        var failures: [(any Error)?] = []
        let outcome = failure { database in
            try database.execute(sql: "BEGIN IMMEDIATE")
            for operation in operations { failures.append(Self.runAlone(operation, in: database)) }
            try database.execute(sql: "COMMIT")
        }
        if outcome != nil { _ = failure { try $0.execute(sql: "ROLLBACK") } }
        for (index, operation) in operations.enumerated() {
            operation.finish(outcome ?? failures[index])
        }
    }

    /// Runs one of a group, so that its failure undoes itself and not the group.
    private static func runAlone(_ operation: Operation, in database: GRDB.Database) -> (any Error)? {
        do {
            try database.execute(sql: "SAVEPOINT single")
            do {
                try SQLiteConnection.translatingErrors { try operation.run(on: database) }
            } catch {
                try database.execute(sql: "ROLLBACK TO single")
                try database.execute(sql: "RELEASE single")
                return error
            }
            try database.execute(sql: "RELEASE single")
            return nil
        } catch {
            return error
        }
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
