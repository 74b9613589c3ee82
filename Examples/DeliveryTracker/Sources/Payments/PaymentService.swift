import Apus

/// Hears from the payment provider.
struct PaymentService: Sendable {
    private let payments: any PaymentRepository
    private let orders: OrderService
    private let signature: PaymentSignature
    private let unitOfWork: UnitOfWork

    init(
        payments: any PaymentRepository, orders: OrderService, signature: PaymentSignature, unitOfWork: UnitOfWork
    ) {
        self.payments = payments
        self.orders = orders
        self.signature = signature
        self.unitOfWork = unitOfWork
    }

    /// Takes in a delivery of the webhook.
    ///
    /// The provider repeats a delivery until it is acknowledged, signing it anew each time: such a one is acknowledged and
    /// changes nothing. One that carries a signature that was accepted before is a replay by someone else, and refused.
    func receive(body: ByteBuffer, signature header: String?) async throws -> Receipt {
        let signedAt = try signature.verify(header, body: body.readableBytesView)
        // Events of other kinds have other shapes; they are acknowledged and not looked into.
        let head = try JSONCoding.decode(PaymentEvent.Head.self, from: body)
        guard head.type == "payment.succeeded" else { return Receipt(event: head.id, isNew: false) }
        let event = try JSONCoding.decode(PaymentEvent.self, from: body)
        return try await unitOfWork.perform {
            if let last = try await payments.lastDelivery(ofEvent: event.id) {
                guard signedAt > last else {
                    throw AppError(
                        .alreadyExists, "This delivery of \(event.id) was accepted before.", reason: "REPLAYED")
                }
                try await payments.record(event: event.id, signedAt: signedAt)
                return Receipt(event: event.id, isNew: false)
            }
            try await payments.record(event: event.id, signedAt: signedAt)
            let payment = try await confirm(event.data)
            if try await !orders.paymentCame(for: payment.order) {
                // The customer gave up while the money was on its way.
                try await payments.update(payment.id) { $0.orderCancelled() }
            }
            return Receipt(event: event.id, isNew: true)
        }
    }

    private func confirm(_ data: PaymentEvent.Payload) async throws -> Payment {
        do {
            return try await payments.update(data.payment) {
                try $0.confirm(Money(amount: data.amount, currency: data.currency))
            }
        } catch let error as PaymentError {
            switch error {
            case .wrongAmount(let expected):
                throw AppError(
                    .failedPrecondition, "\(expected.amount) \(expected.currency) were expected.",
                    reason: "WRONG_AMOUNT")
            case .confirmedAlready:
                throw AppError(.alreadyExists, "This payment was confirmed before.", reason: "PAID_ALREADY")
            }
        }
    }
}

/// What the provider says.
struct PaymentEvent: Codable, Sendable {
    struct Payload: Codable, Sendable {
        let payment: Payment.ID
        let amount: Int
        let currency: String
    }

    /// What every event has.
    struct Head: Codable, Sendable {
        let id: String
        let type: String
    }

    let id: String
    let type: String
    let data: Payload
}

/// What the provider is answered.
struct Receipt: Codable, Sendable, ResponseConvertible {
    let event: String
    /// Whether this delivery changed something.
    let isNew: Bool

    enum CodingKeys: String, CodingKey {
        case event
        case isNew = "new"
    }
}
