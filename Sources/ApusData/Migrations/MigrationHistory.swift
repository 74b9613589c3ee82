import ApusCore
import FoundationEssentials

/// The table of the migrations that a database has had.
struct MigrationHistory: Sendable {
    struct Entry: Sendable {
        let id: String
        let checksum: String
        /// The statements; `nil` if the entry was made before they were stored.
        let source: String?
        let appliedAt: Date
    }

    let database: any Database

    /// Creates the table if it does not exist, and adds the columns that an older version did not have.
    func prepare() async throws {
        guard try await !columns().contains("source") else { return }
        try await database.transaction {
            // Another process may have done it in the meantime.
            let columns = try await columns()
            if columns.isEmpty {
                try await database.execute(
                    """
                    CREATE TABLE apus_migrations (
                        id TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at \(type: .integer) NOT NULL, source TEXT
                    )\(SQL.strict)
                    """)
            } else if !columns.contains("source") {
                try await database.execute("ALTER TABLE apus_migrations ADD COLUMN source TEXT")
            }
        }
    }

    /// Returns the names of the table's columns; none if it does not exist.
    private func columns() async throws -> [String] {
        switch database.dialect {
        // The join makes SQLite notice that another connection has changed the schema, which a pragma alone does not.
        case .sqlite:
            try await database.query(
                """
                SELECT c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
                WHERE t.type = 'table' AND t.name = 'apus_migrations'
                """, as: String.self)
        case .postgres:
            try await database.query(
                """
                SELECT attname FROM pg_attribute
                WHERE attrelid = to_regclass('apus_migrations') AND attnum > 0 AND NOT attisdropped
                """, as: String.self)
        }
    }

    /// Returns the entries, in the order in which they were applied; none if the table does not exist. Nothing is
    /// created.
    func entries() async throws -> [Entry] {
        let columns = try await columns()
        guard !columns.isEmpty else { return [] }
        let source: SQL = columns.contains("source") ? "source" : "NULL AS source"
        let rows = try await database.query("SELECT id, checksum, \(source), applied_at FROM apus_migrations")
        let entries = try rows.map { row in
            Entry(
                id: try row.get("id"), checksum: try row.get("checksum"), source: try row.get("source"),
                appliedAt: Date(timeIntervalSince1970: Double(try row.get("applied_at", as: Int64.self)) / 1e6))
        }
        return entries.sorted { ($0.appliedAt, $0.id) < ($1.appliedAt, $1.id) }
    }

    func contains(_ id: String) async throws -> Bool {
        try await !database.query("SELECT 1 FROM apus_migrations WHERE id = \(id)").isEmpty
    }

    func add(_ id: String, _ source: MigrationSource, at time: Date) async throws {
        try await database.execute(
            """
            INSERT INTO apus_migrations (id, checksum, applied_at, source)
            VALUES (\(id), \(source.checksum), \(Int64(time.timeIntervalSince1970 * 1e6)), \(source.text))
            """)
    }

    /// Removes an entry.
    /// - Returns: Whether it was there.
    func remove(_ id: String) async throws -> Bool {
        try await database.execute("DELETE FROM apus_migrations WHERE id = \(id)") > 0
    }
}
