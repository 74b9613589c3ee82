import Apus

struct SQLPaymentRepository: PaymentRepository, SQLBackedRepository {
    let table: SQLRepository<Payment>

    init(database: any Database) { table = SQLRepository(database) }

    func payment(of order: Order.ID) async throws -> Payment? { try await table.first(where: "order_id = \(order)") }

    func lastDelivery(ofEvent id: String) async throws -> Date? {
        try await table.database.query("SELECT signed_at FROM payment_events WHERE id = \(id)").first?.get("signed_at")
    }

    func record(event id: String, signedAt: Date) async throws {
        try await table.database.execute(
            """
            INSERT INTO payment_events (id, signed_at) VALUES (\(id), \(signedAt))
            ON CONFLICT (id) DO UPDATE SET signed_at = excluded.signed_at
            """)
    }
}

extension Payment: Record {
    static let table = "payments"

    init(row: Row) throws {
        self.init(
            id: try row.get("id"), order: try row.get("order_id"),
            price: Money(amount: try row.get("amount"), currency: try row.get("currency")), state: try row.get("state"))
    }

    var columns: [(name: String, value: any SQLValueConvertible)] {
        [("id", id), ("order_id", order), ("amount", price.amount), ("currency", price.currency), ("state", state)]
    }
}

extension Payment.State: SQLValueConvertible {}

enum CreatePayments: Migration {
    static let id = "2026-11-23-create-payments"
    static let statements: [SQL] = [
        """
        CREATE TABLE payments (
            id TEXT PRIMARY KEY,
            order_id TEXT NOT NULL UNIQUE REFERENCES orders (id),
            amount \(type: .integer) NOT NULL,
            currency TEXT NOT NULL,
            state TEXT NOT NULL
        )\(SQL.strict)
        """,
        "CREATE TABLE payment_events (id TEXT PRIMARY KEY, signed_at \(type: .timestamp) NOT NULL)\(SQL.strict)",
    ]
}
