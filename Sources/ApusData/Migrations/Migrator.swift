public import ApusCore
import FoundationEssentials

/// Brings a database's schema up to date, and refuses to run on one that does not agree with the program.
public struct Migrator: Sendable {
    private struct Step: Sendable {
        let id: String
        let statements: [SQL]
        let checksum: String
    }

    private let database: any Database
    private let steps: [Step]
    private let clock: any WallClock

    /// - Parameter migrations: In the order in which they are to be applied.
    public init(_ database: any Database, _ migrations: [any Migration.Type], clock: any WallClock = SystemClock()) {
        self.database = database
        self.clock = clock
        steps = migrations.map { migration in
            Step(id: migration.id, statements: migration.statements, checksum: Self.checksum(of: migration.statements))
        }
    }

    /// Applies what is missing, each migration in a transaction of its own.
    /// - Returns: The ids of those applied now.
    /// - Throws: An `AppError` of code `failedPrecondition` when an applied migration has changed or disappeared, or two
    ///   have the same id; nothing is applied then.
    @discardableResult
    public func run() async throws -> [String] {
        _ = try await pending()
        var done: [String] = []
        for step in steps where try await apply(step) { done.append(step.id) }
        return done
    }

    /// The ids of the migrations that are not applied yet.
    /// - Throws: What ``run()`` throws before it applies anything.
    public func pending() async throws -> [String] {
        try await database.execute(
            """
            CREATE TABLE IF NOT EXISTS apus_migrations (
                id TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL
            )
            """)
        try checkIDs()
        let applied = try await applied()
        try check(applied)
        return steps.map(\.id).filter { applied[$0] == nil }
    }

    private func applied() async throws -> [String: String] {
        let rows = try await database.query("SELECT id, checksum FROM apus_migrations")
        return try Dictionary(uniqueKeysWithValues: rows.map { (try $0.get("id"), try $0.get("checksum")) })
    }

    private func checkIDs() throws {
        var seen: Set<String> = []
        for step in steps where !seen.insert(step.id).inserted {
            throw AppError(.failedPrecondition, "Two migrations have the id \(step.id).")
        }
    }

    private func check(_ applied: [String: String]) throws {
        let known = Dictionary(uniqueKeysWithValues: steps.map { ($0.id, $0.checksum) })
        for (id, checksum) in applied.sorted(by: { $0.key < $1.key }) {
            guard let present = known[id] else {
                throw AppError(
                    .failedPrecondition,
                    "The database has the migration \(id), which this program does not know: it is older than the database."
                )
            }
            guard present == checksum else {
                throw AppError(
                    .failedPrecondition,
                    "The migration \(id) was changed after it had been applied. Restore it and add another one.")
            }
        }
    }

    private func apply(_ step: Step) async throws -> Bool {
        try await database.transaction {
            // Looked at inside the transaction: another process may have been faster.
            guard try await database.query("SELECT 1 FROM apus_migrations WHERE id = \(step.id)").isEmpty else {
                return false
            }
            for statement in step.statements { try await database.execute(statement) }
            try await database.execute(
                """
                INSERT INTO apus_migrations (id, checksum, applied_at)
                VALUES (\(step.id), \(step.checksum), \(Int64(clock.now.timeIntervalSince1970 * 1e6)))
                """)
            return true
        }
    }

    /// FNV-1a over the text: it finds a migration that was edited; it is no protection against someone who means it.
    private static func checksum(of statements: [SQL]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for statement in statements {
            for byte in statement.rendered(placeholder: { "?\($0)" }).text.utf8 + [0] {
                hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            }
        }
        return String(hash, radix: 16)
    }
}
