import Apus
import Geography

struct SQLOrderRepository: OrderRepository, SQLBackedRepository {
    let table: SQLRepository<Order>

    init(database: any Database) { table = SQLRepository(database) }

    func orders(of customer: Account.ID, after last: Order.ID?, limit: Int) async throws -> [Order] {
        let rest: SQL = last.map { "AND id < \($0)" } ?? ""
        return try await table.all(where: "customer_id = \(customer) \(rest) ORDER BY id DESC LIMIT \(limit)")
    }

    func current(of driver: Account.ID) async throws -> Order? {
        try await table.first(where: "driver_id = \(driver) AND state IN ('assigned', 'picked_up') ORDER BY id")
    }

    func waiting(limit: Int) async throws -> [Order] {
        try await table.all(where: "state = 'paid' ORDER BY id LIMIT \(limit)")
    }

    func open(limit: Int) async throws -> [Order] {
        try await table.all(where: "state NOT IN ('delivered', 'cancelled') ORDER BY id DESC LIMIT \(limit)")
    }
}

extension Order: Record {
    static let table = "orders"

    init(row: Row) throws {
        self.init(
            id: try row.get("id"), customer: try row.get("customer_id"), item: try row.get("item"),
            pickup: try Place(latitude: row.get("pickup_latitude"), longitude: row.get("pickup_longitude")),
            dropoff: try Place(latitude: row.get("dropoff_latitude"), longitude: row.get("dropoff_longitude")),
            price: Money(amount: try row.get("price_amount"), currency: try row.get("price_currency")),
            placedAt: try row.get("placed_at"), state: try row.get("state"), driver: try row.get("driver_id"))
    }

    var columns: [(name: String, value: any SQLValueConvertible)] {
        [
            ("id", id), ("customer_id", customer), ("item", item),
            ("pickup_latitude", pickup.latitude), ("pickup_longitude", pickup.longitude),
            ("dropoff_latitude", dropoff.latitude), ("dropoff_longitude", dropoff.longitude),
            ("price_amount", price.amount), ("price_currency", price.currency),
            ("placed_at", placedAt), ("state", state), ("driver_id", driver),
        ]
    }
}

extension Order.State: SQLValueConvertible {}

enum CreateOrders: Migration {
    static let id = "2026-11-23-create-orders"
    static let statements: [SQL] = [
        """
        CREATE TABLE orders (
            id TEXT PRIMARY KEY,
            customer_id TEXT NOT NULL REFERENCES accounts (id),
            driver_id TEXT REFERENCES accounts (id),
            item TEXT NOT NULL,
            pickup_latitude \(type: .real) NOT NULL,
            pickup_longitude \(type: .real) NOT NULL,
            dropoff_latitude \(type: .real) NOT NULL,
            dropoff_longitude \(type: .real) NOT NULL,
            price_amount \(type: .integer) NOT NULL,
            price_currency TEXT NOT NULL,
            state TEXT NOT NULL,
            placed_at \(type: .timestamp) NOT NULL
        )\(SQL.strict)
        """,
        "CREATE INDEX orders_customer ON orders (customer_id, id)",
        "CREATE INDEX orders_driver ON orders (driver_id) WHERE state IN ('assigned', 'picked_up')",
        "CREATE INDEX orders_state ON orders (state, id)",
    ]
}

/// A driver has one order in progress, even if two are accepted at the same time.
enum LimitOrdersOfDrivers: Migration {
    static let id = "2026-11-27-limit-orders-of-drivers"
    static let statements: [SQL] = [
        "DROP INDEX orders_driver",
        "CREATE UNIQUE INDEX orders_in_progress ON orders (driver_id) WHERE state IN ('assigned', 'picked_up')",
    ]
    static let undo: [SQL] = [
        "DROP INDEX orders_in_progress",
        "CREATE INDEX orders_driver ON orders (driver_id) WHERE state IN ('assigned', 'picked_up')",
    ]
}
