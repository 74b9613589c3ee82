public import ApusCore
public import FoundationEssentials

/// Applies and undoes migrations, and rejects a database whose applied migrations do not match those of the program.
public struct Migrator: Sendable {
    private struct Step: Sendable {
        let migration: any Migration.Type
        let id: String
        let source: MigrationSource
    }

    private let database: any Database
    private let history: MigrationHistory
    private let steps: [Step]
    private let clock: any WallClock

    /// Creates a migrator.
    /// - Parameter migrations: The migrations, in the order in which they are applied.
    public init(_ database: any Database, _ migrations: [any Migration.Type], clock: any WallClock = SystemClock()) {
        self.database = database
        self.clock = clock
        history = MigrationHistory(database: database)
        steps = migrations.map { Step(migration: $0, id: $0.id, source: MigrationSource($0.statements)) }
    }

    /// Applies the pending migrations, each in its own transaction unless it asks for none. Only one migrator of all
    /// processes runs at a time.
    /// - Returns: The ids of the migrations applied by this call.
    /// - Throws: An `AppError` of code `failedPrecondition`, before anything is applied, if an applied migration has
    ///   changed or is missing from the list, or if two migrations have the same id.
    @discardableResult
    public func run() async throws -> [String] {
        try await database.withMigrationLock {
            try await history.prepare()
            try await check()
            var applied: [String] = []
            for step in steps where try await apply(step) { applied.append(step.id) }
            return applied
        }
    }

    /// Returns the ids of the migrations that have not been applied yet. Changes nothing.
    /// - Throws: The same errors that ``run()`` throws before it applies anything.
    public func pending() async throws -> [String] {
        let applied = try await check()
        return steps.map(\.id).filter { !applied.contains($0) }
    }

    /// Undoes the migrations that were applied last, latest first, each in its own transaction.
    /// - Parameter count: The number of migrations to undo.
    /// - Returns: The ids of the migrations that were undone.
    /// - Throws: What ``run()`` throws before it applies anything, and an `AppError` of code `failedPrecondition` at a
    ///   migration that cannot be undone; those after it have been.
    @discardableResult
    public func down(_ count: Int = 1) async throws -> [String] {
        try await database.withMigrationLock {
            try await history.prepare()
            let applied = try await check()
            var undone: [String] = []
            for step in steps.filter({ applied.contains($0.id) }).suffix(max(0, count)).reversed()
            where try await undo(step) { undone.append(step.id) }
            return undone
        }
    }

    /// Returns the migrations of the program and of the database, in the order of the program, then those it does not
    /// know. Throws no disagreement, and changes nothing.
    public func status() async throws -> [MigrationStatus] {
        let entries = try await history.entries()
        let known = steps.map { step in
            guard let entry = entries.first(where: { $0.id == step.id }) else {
                return MigrationStatus(id: step.id, state: .pending, appliedAt: nil)
            }
            let isSame = entry.checksum == step.source.checksum
            return MigrationStatus(id: step.id, state: isSame ? .applied : .changed, appliedAt: entry.appliedAt)
        }
        let ids = Set(steps.map(\.id))
        return known
            + entries.filter { !ids.contains($0.id) }.map {
                MigrationStatus(id: $0.id, state: .unknown, appliedAt: $0.appliedAt)
            }
    }

    /// Returns what ``run()`` would do, without doing it.
    /// - Throws: What ``run()`` throws before it applies anything.
    public func dryRun() async throws -> [MigrationPlan] {
        let pending = Set(try await pending())
        return try steps.filter { pending.contains($0.id) }.map { step in
            let statements = try step.migration.statements.map { statement in
                let (text, values) = try statement.rendered(for: database.dialect)
                return values.isEmpty ? text : "\(text) -- \(values.map { "\($0)" }.joined(separator: ", "))"
            }
            return MigrationPlan(
                id: step.id, statements: statements, isTransactional: step.migration.isTransactional)
        }
    }

    // MARK: Steps

    /// Checks that the history and the program agree.
    /// - Returns: The ids of the applied migrations.
    @discardableResult
    private func check() async throws -> Set<String> {
        var problems: [MigrationError] = []
        var sources: [String: MigrationSource] = [:]
        for step in steps where sources.updateValue(step.source, forKey: step.id) != nil {
            problems.append(.duplicate(step.id))
        }
        let entries = try await history.entries()
        for entry in entries {
            guard let source = sources[entry.id] else {
                problems.append(.unknown(entry.id))
                continue
            }
            guard source.checksum != entry.checksum else { continue }
            problems.append(source.difference(to: entry.source, id: entry.id))
        }
        guard problems.isEmpty else {
            throw AppError(.failedPrecondition, problems.map(\.message).joined(separator: "\n"))
        }
        return Set(entries.map(\.id))
    }

    private func apply(_ step: Step) async throws -> Bool {
        try await run(step) {
            // Checked inside the transaction: another process may have applied it in the meantime.
            guard try await !history.contains(step.id) else { return false }
            try await step.migration.up(database)
            try await history.add(step.id, step.source, at: clock.now)
            return true
        }
    }

    private func undo(_ step: Step) async throws -> Bool {
        try await run(step) {
            guard try await history.contains(step.id) else { return false }
            try await step.migration.down(database)
            return try await history.remove(step.id)
        }
    }

    private func run(_ step: Step, _ body: () async throws -> Bool) async throws -> Bool {
        step.migration.isTransactional ? try await database.transaction(body) : try await body()
    }
}

/// A migration of a program or of a database.
public struct MigrationStatus: Sendable, Hashable {
    public enum State: String, Sendable {
        case applied, pending
        /// Applied, but its statements have changed since.
        case changed
        /// Applied, but unknown to the program.
        case unknown
    }

    public let id: String
    public let state: State
    /// When it was applied; `nil` if it is pending.
    public let appliedAt: Date?
}

/// What a pending migration would do.
public struct MigrationPlan: Sendable, Hashable {
    public let id: String
    /// The statements in the dialect of the database; none if the migration is written in Swift.
    public let statements: [String]
    public let isTransactional: Bool
}
