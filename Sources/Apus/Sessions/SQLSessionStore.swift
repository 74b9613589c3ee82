public import ApusData
public import ApusHTTP
public import FoundationEssentials

/// A session store in the app's database. ``CreateSessions`` creates its table.
public struct SQLSessionStore: SessionStore {
    private let database: any Database

    public init(_ database: any Database) { self.database = database }

    public func load(_ id: String, now: Date) async throws -> StoredSession? {
        let rows = try await database.query(
            "SELECT data, expires_at, version FROM apus_sessions WHERE id = \(id) AND expires_at > \(now)")
        return try rows.first.map { row in
            StoredSession(try row.get("data"), expiresAt: try row.get("expires_at"), version: try row.get("version"))
        }
    }

    public func insert(_ id: String, _ session: StoredSession) async throws {
        try await database.execute(
            """
            INSERT INTO apus_sessions (id, data, expires_at, version)
            VALUES (\(id), \(session.data), \(session.expiresAt), \(session.version))
            """)
    }

    public func replace(
        _ id: String, version: Int, by newID: String, _ session: StoredSession
    ) async throws -> Bool {
        try await database.execute(
            """
            UPDATE apus_sessions
            SET id = \(newID), data = \(session.data), expires_at = \(session.expiresAt), version = \(session.version)
            WHERE id = \(id) AND version = \(version)
            """) > 0
    }

    public func extend(_ id: String, until: Date) async throws {
        try await database.execute("UPDATE apus_sessions SET expires_at = \(until) WHERE id = \(id)")
    }

    public func delete(_ id: String) async throws {
        try await database.execute("DELETE FROM apus_sessions WHERE id = \(id)")
    }

    public func deleteExpired(now: Date) async throws {
        // Several processes may do so at the same time, and must not wait for each other.
        try await database.execute(
            """
            DELETE FROM apus_sessions WHERE id IN (
                SELECT id FROM apus_sessions WHERE expires_at <= \(now)\(SQL.rowLockSkippingLocked)
            )
            """)
    }
}

/// The migration that creates the table of ``SQLSessionStore``. Add it to the migrations of the module that uses
/// sessions.
public enum CreateSessions: Migration {
    public static let id = "apus-0003-sessions"
    public static let statements: [SQL] = [
        """
        CREATE TABLE apus_sessions (
            id TEXT PRIMARY KEY,
            data \(type: .bytes) NOT NULL,
            expires_at \(type: .timestamp) NOT NULL,
            version \(type: .integer) NOT NULL
        )\(SQL.strict)
        """,
        "CREATE INDEX apus_sessions_expires_at ON apus_sessions (expires_at)",
    ]
    public static let undo: [SQL] = ["DROP TABLE apus_sessions"]
}
