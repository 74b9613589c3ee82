import Apus

struct SQLPaymentRepository: PaymentRepository, SQLBackedRepository {
    let table: SQLRepository<Payment>

    init(database: any Database) { table = SQLRepository(database) }

    func payment(of order: Order.ID) async throws -> Payment? { try await table.first(where: "order_id = \(order)") }

    func record(event id: String, signedAt: Date) async throws -> EventDelivery {
        // Two statements that change data, rather than one that reads: deliveries at the same time wait for each other.
        let inserted = try await table.database.execute(
            "INSERT INTO payment_events (id, signed_at) VALUES (\(id), \(signedAt)) ON CONFLICT (id) DO NOTHING")
        guard inserted == 0 else { return .first }
        let updated = try await table.database.execute(
            "UPDATE payment_events SET signed_at = \(signedAt) WHERE id = \(id) AND signed_at < \(signedAt)")
        return updated > 0 ? .repeated : .replayed
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
