import Apus

struct PaymentRoutes: Sendable {
    let payments: PaymentService

    func add(to routes: Routes) {
        routes.post("v1/payments/webhook", RawBody(), Header(HTTPField.Name("Payment-Signature")!), handler: receive)
            .bodyLimit(64 << 10)
    }

    @Sendable func receive(_ body: ByteBuffer, _ signature: String?) async throws -> Receipt {
        try await payments.receive(body: body, signature: signature)
    }
}

struct PaymentView: Encodable, Sendable {
    let id: Payment.ID
    let price: Money
    let state: Payment.State

    init(_ payment: Payment) {
        id = payment.id
        price = payment.price
        state = payment.state
    }
}
