import Apus

protocol PaymentRepository: Repository where Entity == Payment {
    /// Returns the payment for an order.
    func payment(of order: Order.ID) async throws -> Payment?
    /// Records a delivery of an event, unless it is a replay. Others that deliver the same event wait until the current
    /// transaction ends.
    func record(event id: String, signedAt: Date) async throws -> EventDelivery
}

/// What a delivery of an event is.
enum EventDelivery: Sendable {
    /// The first one of its event.
    case first
    /// A later one, signed anew.
    case repeated
    /// Not signed later than the last one.
    case replayed
}
