import ApusCore
import Synchronization

extension AmbientTransaction {
    /// Whether the task may run statements on other databases than that of its transaction.
    @TaskLocal static var allowsOtherDatabases = false

    /// The innermost savepoint of the task in each of its transactions.
    @TaskLocal static var savepoints: [ObjectIdentifier: Int] = [:]

    /// Returns the transaction that the statements of the current task on a database are part of.
    /// - Returns: `nil` if the task is in none.
    /// - Throws: An `AppError` of code `internal` if the task was started in a transaction that has ended, or is in one of
    ///   another database.
    package static func open(on database: any Database) throws -> AmbientTransaction? {
        guard let current else { return nil }
        if let transaction = current.chain.first(where: { $0.database == ObjectIdentifier(database) }) {
            guard transaction.session != nil else { throw TransactionMisuse.insideChange(database.name).appError }
            try transaction.state.withLock { try transaction.check($0) }
            return transaction
        }
        if let other = innermostOpen(from: current), !allowsOtherDatabases {
            throw TransactionMisuse.otherDatabase(database.name, inside: other.name).appError
        }
        return nil
    }

    /// Checks that a statement of the current task would be part of the transaction, and undone only with what the task
    /// knows of.
    private func check(_ state: borrowing State) throws {
        guard state.phase == .open else { throw TransactionMisuse.ended(name).appError }
        let savepoint = Self.savepoints.isEmpty ? nil : Self.savepoints[ObjectIdentifier(self)]
        guard savepoint != state.openSavepoints.last else { return }
        let hasEnded = savepoint.map { !state.openSavepoints.contains($0) } ?? false
        throw (hasEnded ? TransactionMisuse.ended(name) : .besideSavepoint(name)).appError
    }

    /// Checks that a change of the current task outside of any database, which the transaction can undo, would be undone
    /// with it.
    static func checkChange() throws {
        guard let current else { return }
        try current.state.withLock { try current.check($0) }
    }

    /// Runs a statement of the current task. A change that is cancelled, even before it ran, keeps this transaction from
    /// being committed, unless its savepoint is undone: what was cancelled too late has had its effect.
    /// - Parameter isWrite: Whether it may change data.
    package func run<Result>(isWrite: Bool, _ statement: () async throws -> Result) async throws -> Result {
        try state.withLock { state in
            try check(state)
            state.statements += 1
            if isWrite { state.hasWritten = true }
        }
        defer { state.withLock { $0.statements -= 1 } }
        do {
            return try await statement()
        } catch let error as CancellationError {
            if isWrite { state.withLock { $0.failure = $0.failure ?? error } }
            throw error
        }
    }

    /// Runs a closure that may run several statements, such as that of a stream.
    package func runClosure<Result>(_ closure: () async throws -> Result) async throws -> Result {
        try state.withLock { state in
            try check(state)
            state.closures += 1
        }
        defer { state.withLock { $0.closures -= 1 } }
        return try await closure()
    }

    /// Runs the body of a nested transaction. If it fails, this transaction cannot be committed, even if the error is
    /// caught.
    package func join<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await runClosure(body)
        } catch {
            state.withLock { $0.failure = $0.failure ?? error }
            throw error
        }
    }
}

extension AmbientTransaction {
    private struct Savepoint {
        let number: Int
        let name: String
        /// How many actions there were before it.
        let actions: Int
        let changes: Int
        /// Whether the transaction could be committed before it.
        let isSound: Bool
    }

    /// Runs the body of a nested transaction in a savepoint. If it fails, this transaction goes on.
    ///
    /// Meanwhile, only the task that has begun it, and those that it starts inside, can use the transaction: what others
    /// change would be undone with the savepoint although they were told of success.
    package func savepoint<Result>(on database: any Database, _ body: () async throws -> Result) async throws -> Result
    {
        try await runClosure {
            let savepoint = try beginSavepoint()
            defer { state.withLock { $0.openSavepoints.removeAll { $0 >= savepoint.number } } }
            var savepoints = Self.savepoints
            savepoints[ObjectIdentifier(self)] = savepoint.number
            return try await Self.$savepoints.withValue(savepoints) {
                try await database.execute("SAVEPOINT \(identifier: savepoint.name)")
                do {
                    let result = try await body()
                    guard state.withLock({ $0.statements == 0 }) else {
                        throw TransactionMisuse.unfinished(name).appError
                    }
                    try await database.execute("RELEASE SAVEPOINT \(identifier: savepoint.name)")
                    return result
                } catch {
                    try await rollBack(to: savepoint, on: database)
                    throw error
                }
            }
        }
    }

    private func beginSavepoint() throws -> Savepoint {
        try state.withLock { state in
            try check(state)
            guard state.statements == 0 else { throw TransactionMisuse.savepointBesideStatement(name).appError }
            state.savepoints += 1
            state.openSavepoints.append(state.savepoints)
            return Savepoint(
                number: state.savepoints, name: "apus_\(state.savepoints)", actions: state.afterCommit.count,
                changes: state.undo.count, isSound: state.failure == nil)
        }
    }

    private func rollBack(to savepoint: Savepoint, on database: any Database) async throws {
        // If that fails too, the transaction cannot go on, and every further statement of it fails.
        try await join {
            try await database.execute("ROLLBACK TO SAVEPOINT \(identifier: savepoint.name)")
            try await database.execute("RELEASE SAVEPOINT \(identifier: savepoint.name)")
        }
        let undo = state.withLock { state in
            state.afterCommit.removeLast(max(0, state.afterCommit.count - savepoint.actions))
            defer { state.undo.removeLast(max(0, state.undo.count - savepoint.changes)) }
            // What joined the savepoint, and failed, is undone with it.
            if savepoint.isSound { state.failure = nil }
            return state.undo.dropFirst(savepoint.changes)
        }
        for action in undo.reversed() { action() }
    }
}
