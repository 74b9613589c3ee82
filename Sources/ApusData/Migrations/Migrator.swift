public import ApusCore
import FoundationEssentials

/// Applies pending migrations, and rejects a database whose applied migrations do not match those of the program.
public struct Migrator: Sendable {
    private struct Step: Sendable {
        let id: String
        let statements: [SQL]
        let checksum: String
    }

    private let database: any Database
    private let steps: [Step]
    private let clock: any WallClock

    /// Creates a migrator.
    /// - Parameter migrations: The migrations, in the order in which they are applied.
    public init(_ database: any Database, _ migrations: [any Migration.Type], clock: any WallClock = SystemClock()) {
        self.database = database
        self.clock = clock
        steps = migrations.map { migration in
            Step(id: migration.id, statements: migration.statements, checksum: Self.checksum(of: migration.statements))
        }
    }

    /// Applies the pending migrations, each in its own transaction.
    /// - Returns: The ids of the migrations applied by this call.
    /// - Throws: An `AppError` of code `failedPrecondition`, before anything is applied, if an applied migration has
    ///   changed or is missing from the list, or if two migrations have the same id.
    @discardableResult
    public func run() async throws -> [String] {
        _ = try await pending()
        var applied: [String] = []
        for step in steps where try await apply(step) { applied.append(step.id) }
        return applied
    }

    /// Returns the ids of the migrations that have not been applied yet.
    /// - Throws: The same errors that ``run()`` throws before it applies anything.
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
            throw AppError(.failedPrecondition, "Two migrations have the id \(step.id). Migration ids must be unique.")
        }
    }

    private func check(_ applied: [String: String]) throws {
        let known = Dictionary(uniqueKeysWithValues: steps.map { ($0.id, $0.checksum) })
        for (id, checksum) in applied.sorted(by: { $0.key < $1.key }) {
            guard let knownChecksum = known[id] else {
                throw AppError(
                    .failedPrecondition,
                    "The database has the migration \(id), which this program does not know. The program is older than the database."
                )
            }
            guard knownChecksum == checksum else {
                throw AppError(
                    .failedPrecondition,
                    "The migration \(id) was changed after it had been applied. Restore it and add a new one.")
            }
        }
    }

    private func apply(_ step: Step) async throws -> Bool {
        try await database.transaction {
            // Checked inside the transaction: another process may have applied it in the meantime.
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

    /// Returns the FNV-1a hash of the text and the values, which is the same on every engine. It detects edited
    /// migrations, but is not a protection against tampering.
    private static func checksum(of statements: [SQL]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for statement in statements {
            let (text, values) = statement.rendered(for: .sqlite) { "?\($0)" }
            for part in [text] + values.map({ "\($0)" }) {
                for byte in part.utf8 + [0] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            }
        }
        return String(hash, radix: 16)
    }
}
