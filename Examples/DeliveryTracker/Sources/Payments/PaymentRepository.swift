import Apus

protocol PaymentRepository: Repository where Entity == Payment {
    /// The payment of an order.
    func payment(of order: Order.ID) async throws -> Payment?
    /// When the delivery of an event was signed that was accepted last; `nil` for an event that never came.
    func lastDelivery(ofEvent id: String) async throws -> Date?
    /// Remembers an event, or a later delivery of it.
    func record(event id: String, signedAt: Date) async throws
}
