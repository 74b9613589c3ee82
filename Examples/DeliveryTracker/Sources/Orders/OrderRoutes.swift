import Apus

struct OrderRoutes: Sendable {
    let orders: OrderService

    func add(to routes: Routes, limit: RateLimit, idempotency: IdempotencyKeys) {
        routes.group("v1/orders", Authenticated(Customer.self), limit, idempotency) { routes in
            routes.post("", Body(PlaceOrder.self), handler: place)
            routes.get("", handler: list)
            routes.get(":id", Path("id", as: Order.ID.self), handler: show)
            routes.post(":id/cancellation", Path("id", as: Order.ID.self), handler: cancel)
        }
        routes.group("v1/orders", Authenticated(Driver.self)) { routes in
            routes.post(":id/assignment", Path("id", as: Order.ID.self), handler: assign)
            routes.post(":id/pickup", Path("id", as: Order.ID.self), handler: pickUp)
            routes.post(":id/delivery", Path("id", as: Order.ID.self), handler: deliver)
        }
        routes.group("v1/drivers", Authenticated(Driver.self)) { routes in
            routes.get("waiting-orders", handler: waiting)
        }
    }

    @Sendable func place(_ customer: Customer, _ request: PlaceOrder) async throws -> Created<PlacedOrder> {
        let (order, payment) = try await orders.place(request, for: customer)
        return Created(
            PlacedOrder(order: OrderView(order), payment: PaymentView(payment)), at: "/v1/orders/\(order.id)")
    }

    @Sendable func list(_ customer: Customer) async throws -> [OrderView] {
        try await orders.list(of: customer).map(OrderView.init)
    }

    @Sendable func show(_ customer: Customer, _ id: Order.ID) async throws -> OrderView {
        OrderView(try await orders.get(id, for: customer))
    }

    @Sendable func cancel(_ customer: Customer, _ id: Order.ID) async throws -> OrderView {
        OrderView(try await orders.cancel(id, by: customer))
    }

    @Sendable func waiting(_ driver: Driver) async throws -> [OrderView] {
        try await orders.waiting().map(OrderView.init)
    }

    @Sendable func assign(_ driver: Driver, _ id: Order.ID) async throws -> OrderView {
        OrderView(try await orders.assign(id, to: driver))
    }

    @Sendable func pickUp(_ driver: Driver, _ id: Order.ID) async throws -> OrderView {
        OrderView(try await orders.pickUp(id, by: driver))
    }

    @Sendable func deliver(_ driver: Driver, _ id: Order.ID) async throws -> OrderView {
        OrderView(try await orders.deliver(id, by: driver))
    }
}

struct PlaceOrder: Decodable, Sendable, Validatable {
    let item: String
    let pickup: Place
    let dropoff: Place

    static let rules: [Rule<PlaceOrder>] = [
        Rule("item", \.item, .length(1...200)),
        .nested("pickup", \.pickup),
        .nested("dropoff", \.dropoff),
    ]
}

extension Place: Validatable {
    static let rules: [Rule<Place>] = [
        Rule("latitude", \.latitude, .range(-90...90)),
        Rule("longitude", \.longitude, .range(-180...180)),
    ]
}

struct OrderView: Codable, Sendable, ResponseConvertible {
    let id: Order.ID
    let customer: Account.ID
    let driver: Account.ID?
    let item: String
    let pickup: Place
    let dropoff: Place
    let price: Money
    let state: Order.State
    let placedAt: Date

    enum CodingKeys: String, CodingKey {
        case id, customer, driver, item, pickup, dropoff, price, state
        case placedAt = "placed_at"
    }

    init(_ order: Order) {
        id = order.id
        customer = order.customer
        driver = order.driver
        item = order.item
        pickup = order.pickup
        dropoff = order.dropoff
        price = order.price
        state = order.state
        placedAt = order.placedAt
    }
}

struct PlacedOrder: Encodable, Sendable {
    let order: OrderView
    let payment: PaymentView
}
