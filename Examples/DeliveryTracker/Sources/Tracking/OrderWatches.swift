import Apus

/// Knows which orders are watched by their customers, in whatever process.
///
/// A watch is a row with an expiry, which its connection renews: the watches of a process that was killed end by
/// themselves.
struct OrderWatches: Sendable {
    private let database: any Database
    private let clock: any WallClock

    /// How long a watch lasts after its process was killed. It is renewed three times as often.
    private static let lifetime = Duration.seconds(60)

    init(database: any Database, clock: any WallClock) {
        self.database = database
        self.clock = clock
    }

    func isWatched(_ order: Order.ID) async throws -> Bool {
        try await !database.query(
            "SELECT 1 FROM order_watches WHERE order_id = \(order) AND expires_at > \(clock.now) LIMIT 1"
        ).isEmpty
    }

    /// Watches an order while the body runs.
    func watch(_ order: Order.ID, _ body: () async throws -> Void) async throws {
        let id = Identifier<OrderWatches>()
        try await removeExpired()
        try await renew(id, order)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        try await clock.sleep(for: Self.lifetime / 3)
                        // Tried again before the watch expires.
                        try? await renew(id, order)
                    }
                }
                defer { group.cancelAll() }
                try await body()
            }
        } catch {
            await remove(id)
            throw error
        }
        await remove(id)
    }

    private func renew(_ id: Identifier<OrderWatches>, _ order: Order.ID) async throws {
        try await database.execute(
            """
            INSERT INTO order_watches (id, order_id, expires_at)
            VALUES (\(id), \(order), \(clock.now.addingTimeInterval(Self.lifetime.seconds)))
            ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
            """)
    }

    private func removeExpired() async throws {
        try await database.execute("DELETE FROM order_watches WHERE expires_at <= \(clock.now)")
    }

    /// Ends a watch, also if the task was cancelled because the client has gone. If that fails, the watch expires.
    private func remove(_ id: Identifier<OrderWatches>) async {
        await Task { _ = try? await database.execute("DELETE FROM order_watches WHERE id = \(id)") }.value
    }
}

enum CreateOrderWatches: Migration {
    static let id = "2026-11-27-create-order-watches"
    static let statements: [SQL] = [
        """
        CREATE TABLE order_watches (
            id TEXT PRIMARY KEY,
            order_id TEXT NOT NULL,
            expires_at \(type: .timestamp) NOT NULL
        )
        """,
        "CREATE INDEX order_watches_order ON order_watches (order_id)",
    ]
}
