import Apus

struct PaymentsModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        let secret = app.settings.secret(
            "payments.webhook-secret", minimumBytes: 24, developmentDefault: "whsec_everybody_can_read_this")
        app.migrations.add(CreatePayments.self)
        app.provide(PaymentSignature.self) { PaymentSignature(secret: secret, clock: try $0.resolve()) }
        app.provide((any PaymentRepository).self) { SQLPaymentRepository(database: try $0.resolve()) }
        app.provide(PaymentService.self) {
            PaymentService(
                payments: try $0.resolve(), orders: try $0.resolve(), signature: try $0.resolve(),
                unitOfWork: try $0.resolve())
        }
        app.routes { routes, container in PaymentRoutes(payments: try container.resolve()).add(to: routes) }
    }
}
