import Apus

struct PaymentRoutes: Sendable {
    let payments: PaymentService

    func add(to routes: Routes) {
        routes.post("v1/payments/webhook", RawBody(), Header(HTTPField.Name("Payment-Signature")!), handler: receive)
            .bodyLimit(64 << 10)
            .summary("Hears from the payment provider.", "The body is signed: see Payment-Signature.")
            .mayFail(.badRequest, "The body is no event.")
            .mayFail(.unauthorized, "The signature is missing, old or wrong.")
            .mayFail(.conflict, "This delivery was accepted before.")
    }

    @Sendable func receive(_ body: ByteBuffer, _ signature: String?) async throws -> Receipt {
        try await payments.receive(body: body, signature: signature)
    }
}

struct PaymentView: Codable, Sendable {
    let id: Payment.ID
    let price: Money
    let state: Payment.State

    init(_ payment: Payment) {
        id = payment.id
        price = payment.price
        state = payment.state
    }
}
