public import ApusData
public import ApusHTTP
public import FoundationEssentials

/// Sessions in the app's database. The table is ``CreateSessions``.
public struct SQLSessionStore: SessionStore {
    private let database: any Database

    public init(_ database: any Database) { self.database = database }

    public func load(_ id: String, now: Date) async throws -> (data: [UInt8], until: Date)? {
        let rows = try await database.query(
            "SELECT data, expires_at FROM apus_sessions WHERE id = \(id) AND expires_at > \(now)")
        return try rows.first.map { (try $0.get("data"), try $0.get("expires_at")) }
    }

    public func save(_ id: String, _ data: [UInt8], until: Date) async throws {
        try await database.execute(
            """
            INSERT INTO apus_sessions (id, data, expires_at) VALUES (\(id), \(data), \(until))
            ON CONFLICT (id) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at
            """)
    }

    public func extend(_ id: String, until: Date) async throws {
        try await database.execute("UPDATE apus_sessions SET expires_at = \(until) WHERE id = \(id)")
    }

    public func delete(_ id: String) async throws {
        try await database.execute("DELETE FROM apus_sessions WHERE id = \(id)")
    }

    public func deleteExpired(now: Date) async throws {
        try await database.execute("DELETE FROM apus_sessions WHERE expires_at <= \(now)")
    }
}

/// The table of ``SQLSessionStore``. Add it to the migrations of the module that uses sessions.
public enum CreateSessions: Migration {
    public static let id = "apus-0003-sessions"
    public static let statements: [SQL] = [
        """
        CREATE TABLE apus_sessions (
            id TEXT PRIMARY KEY,
            data BLOB NOT NULL,
            expires_at BIGINT NOT NULL
        )
        """,
        "CREATE INDEX apus_sessions_expires_at ON apus_sessions (expires_at)",
    ]
}
