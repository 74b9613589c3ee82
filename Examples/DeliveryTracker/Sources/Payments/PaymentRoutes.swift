import Apus

struct PaymentRoutes: Sendable {
    let payments: PaymentService

    func add(to routes: Routes) {
        routes.post("v1/payments/webhook", RawBody(), Header(HTTPField.Name("Payment-Signature")!), handler: receive)
            .bodyLimit(64 << 10)
            .summary(
                "Receive an event from the payment provider.",
                "The Payment-Signature header carries an HMAC-SHA256 signature of the time and the body."
            )
            .errorResponse(.badRequest, "The signature is missing, expired or wrong, or the body is not JSON.")
            .errorResponse(.notFound, "There is no such payment.")
            .errorResponse(.unprocessableContent, "The body is not an event of the provider.")
            .errorResponse(.conflict, "The delivery or the payment was already accepted, or the amount is wrong.")
            .describe { operation in
                operation.body = .init(["application/json": .of(PaymentEvent.self)])
                operation.parameters = [PaymentSignature.parameter]
            }
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
