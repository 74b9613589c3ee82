import ApusCore

/// The payment for an order.
struct Payment: Identifiable, Sendable {
    typealias ID = Identifier<Payment>

    enum State: String, Codable, Sendable, CaseIterable {
        case pending, confirmed
        /// The payment was received and the order is cancelled: the amount must be refunded.
        case refundDue = "refund_due"
    }

    let id: ID
    let order: Order.ID
    let price: Money
    private(set) var state = State.pending

    init(id: ID, order: Order.ID, price: Money, state: State = .pending) {
        self.id = id
        self.order = order
        self.price = price
        self.state = state
    }

    /// Marks a received payment as due for refund, because its order is cancelled.
    mutating func orderCancelled() {
        if state == .confirmed { state = .refundDue }
    }

    mutating func confirm(_ received: Money) throws(PaymentError) {
        guard received == price else { throw .wrongAmount(expected: price) }
        guard state == .pending else { throw .alreadyConfirmed }
        state = .confirmed
    }
}

enum PaymentError: Error, Equatable {
    case wrongAmount(expected: Money)
    case alreadyConfirmed
}
