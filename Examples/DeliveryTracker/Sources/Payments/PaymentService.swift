import Apus

/// Processes events from the payment provider.
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

    /// Processes a delivery to the webhook.
    ///
    /// The provider redelivers an event until it is acknowledged, and signs each delivery anew: a redelivery is
    /// acknowledged and changes nothing. A delivery with a signature that was already accepted is a replay by a third
    /// party, and is rejected.
    func receive(body: ByteBuffer, signature header: String?) async throws -> Receipt {
        let signedAt = try signature.verify(header, body: body.readableBytesView)
        // Events of other types have other payloads; they are acknowledged without decoding them.
        let head = try JSONCoding.decode(PaymentEvent.Head.self, from: body)
        guard head.type == "payment.succeeded" else { return Receipt(event: head.id, isNew: false) }
        let event = try JSONCoding.decode(PaymentEvent.self, from: body)
        return try await unitOfWork.perform {
            switch try await payments.record(event: event.id, signedAt: signedAt) {
            case .first: break
            case .repeated: return Receipt(event: event.id, isNew: false)
            case .replayed:
                throw AppError(
                    .alreadyExists, "This delivery of event \(event.id) was already accepted.", reason: "REPLAYED")
            }
            let payment = try await confirm(event.data)
            if try await !orders.confirmPayment(for: payment.order) {
                // The customer cancelled the order before the payment arrived.
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
                    .failedPrecondition, "Wrong amount: expected \(expected.amount) \(expected.currency).",
                    reason: "WRONG_AMOUNT")
            case .alreadyConfirmed:
                throw AppError(.alreadyExists, "This payment was already confirmed.", reason: "PAID_ALREADY")
            }
        }
    }
}

/// An event from the payment provider.
struct PaymentEvent: Codable, Sendable {
    struct Payload: Codable, Sendable {
        let payment: Payment.ID
        let amount: Int
        let currency: String
    }

    /// The fields that all events have.
    struct Head: Codable, Sendable {
        let id: String
        let type: String
    }

    let id: String
    let type: String
    let data: Payload
}

/// The acknowledgement of an event.
struct Receipt: Codable, Sendable, ResponseConvertible {
    let event: String
    /// Whether this delivery changed anything.
    let isNew: Bool

    enum CodingKeys: String, CodingKey {
        case event
        case isNew = "new"
    }
}
