import Apus
import Geography

struct OrderRoutes: Sendable {
    let orders: OrderService
    let unitOfWork: UnitOfWork

    func add(to routes: Routes, limit: RateLimit, idempotency: IdempotencyKeys) {
        routes.group(Authenticated(Customer.self), limit, idempotency) { routes in
            routes.on(OrderEndpoints.place, handler: place).summary("Place an order.")
            routes.on(OrderEndpoints.list, handler: list).summary("List the customer's orders, newest first.")
            routes.on(OrderEndpoints.show, handler: show).summary("Get one of the customer's orders.")
                .errorResponse(.notFound, "Order not found.")
            routes.on(OrderEndpoints.cancel, handler: cancel).summary("Cancel an order.")
                .errorResponse(.notFound, "Order not found.").errorResponse(
                    .conflict, "The order can no longer be cancelled.")
        }
        routes.group(Authenticated(Driver.self)) { routes in
            routes.on(OrderEndpoints.waiting, handler: waiting)
                .summary("List the orders waiting for a driver, oldest first.")
            routes.on(OrderEndpoints.assign, handler: assign).summary("Accept an order for delivery.")
                .errorResponse(.notFound, "Order not found.")
                .errorResponse(.conflict, "The order is not available, or the driver is on another order.")
            routes.on(OrderEndpoints.pickUp, handler: pickUp).summary("Mark an order as picked up.")
                .errorResponse(.forbidden, "The order is not assigned to the driver.")
                .errorResponse(.notFound, "Order not found.").errorResponse(
                    .conflict, "The order was already picked up.")
            routes.on(OrderEndpoints.deliver, handler: deliver).summary("Mark an order as delivered.")
                .errorResponse(.forbidden, "The order is not assigned to the driver.")
                .errorResponse(.notFound, "Order not found.")
                .errorResponse(.conflict, "The order has not been picked up yet, or was already delivered.")
        }
    }

    @Sendable func place(_ customer: Customer, _ request: PlaceOrder) async throws -> Created<PlacedOrder> {
        // The order and the response for its idempotency key are committed together, so that a retry after a crash
        // receives the same response.
        try await unitOfWork.perform {
            let (order, payment) = try await orders.place(request, for: customer)
            let placed = PlacedOrder(order: OrderView(order), payment: PaymentView(payment))
            return try await IdempotencyKeys.record(Created(placed, at: "/v1/orders/\(order.id)"))
        }
    }

    @Sendable func list(_ customer: Customer, _ page: PageRequest<Order.ID>) async throws -> Page<OrderView> {
        let orders = try await orders.list(of: customer, after: page.after, limit: page.limit + 1)
        return try Page(orders.map(OrderView.init), of: page, by: \.id)
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

struct PlaceOrder: Codable, Sendable, Validatable {
    let item: String
    let pickup: Coordinates
    let dropoff: Coordinates

    init(item: String, pickup: Place, dropoff: Place) {
        self.item = item
        self.pickup = Coordinates(pickup)
        self.dropoff = Coordinates(dropoff)
    }

    static let rules: [Rule<PlaceOrder>] = [
        Rule("item", \.item, .line(1...200)),
        .nested("pickup", \.pickup),
        .nested("dropoff", \.dropoff),
    ]
}

/// The coordinates of a place in a request, which are validated together with its other fields.
struct Coordinates: Codable, Sendable, Validatable {
    let latitude: Double
    let longitude: Double

    init(_ place: Place) {
        latitude = place.latitude
        longitude = place.longitude
    }

    var place: Place { Place(wrapping: latitude, longitude) }

    static let rules: [Rule<Coordinates>] = [
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

struct PlacedOrder: Codable, Sendable {
    let order: OrderView
    let payment: PaymentView
}
