import Apus

struct OrdersModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        let perSecond = app.settings.int("orders.per-second", default: 20, in: 1...100_000)
        let lease = app.settings.duration(
            "orders.idempotency-lease", default: .seconds(10), atLeast: .milliseconds(100))
        app.migrations.add(CreateOrders.self, CreateIdempotencyKeys.self, LimitOrdersOfDrivers.self)
        app.provide((any OrderRepository).self) { SQLOrderRepository(database: try $0.resolve()) }
        app.provide(OrderService.self) {
            OrderService(
                orders: try $0.resolve(), payments: try $0.resolve(), jobs: try $0.resolve(), feed: try $0.resolve(),
                unitOfWork: try $0.resolve(), clock: try $0.resolve())
        }
        app.routes { routes, container in
            OrderRoutes(orders: try container.resolve(), unitOfWork: try container.resolve()).add(
                to: routes, limit: .rateLimit(.perPrincipal, perSecond, per: .seconds(1)),
                idempotency: IdempotencyKeys(
                    try container.resolve(), lease: lease, clock: try container.resolve()))
        }
    }
}
