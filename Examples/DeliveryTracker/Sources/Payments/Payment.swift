import ApusCore

/// What is owed for an order, and whether it came.
struct Payment: Identifiable, Sendable {
    typealias ID = Identifier<Payment>

    enum State: String, Codable, Sendable, CaseIterable {
        case pending, confirmed
        /// It came, or had come, and the order is off: someone has to pay it back.
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

    /// The order is off. What came is owed back.
    mutating func orderCancelled() {
        if state == .confirmed { state = .refundDue }
    }

    mutating func confirm(_ received: Money) throws(PaymentError) {
        guard received == price else { throw .wrongAmount(expected: price) }
        guard state == .pending else { throw .confirmedAlready }
        state = .confirmed
    }
}

enum PaymentError: Error, Equatable {
    case wrongAmount(expected: Money)
    case confirmedAlready
}
