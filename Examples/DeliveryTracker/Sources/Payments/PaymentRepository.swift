import Apus

protocol PaymentRepository: Repository where Entity == Payment {
    /// Returns the payment for an order.
    func payment(of order: Order.ID) async throws -> Payment?
    /// Returns when the last accepted delivery of an event was signed; `nil` if the event was never received.
    func lastDelivery(ofEvent id: String) async throws -> Date?
    /// Records an event, or a later delivery of it.
    func record(event id: String, signedAt: Date) async throws
}
