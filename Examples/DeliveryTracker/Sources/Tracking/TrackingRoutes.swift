import Apus
import Geography

struct TrackingRoutes: Sendable {
    let orders: OrderService
    let tracking: TrackingService
    let feed: LiveFeed

    private static let options = WebSocketOptions(subprotocols: ["tracker.v1"])

    func add(to routes: Routes) {
        routes.group("v1/orders", Authenticated(Customer.self)) { routes in
            // The order is looked up before the upgrade: an order of another customer is 404, as in the REST API.
            routes.webSocket(":id/live", OwnOrder(orders: orders), options: Self.options, handler: watch)
                .summary("Watch an order live over WebSocket.").errorResponse(.notFound, "Order not found.")
        }
        routes.group("v1/drivers", Authenticated(Driver.self)) { routes in
            routes.webSocket("position", options: Self.options, handler: report)
                .summary("Report the driver's position over WebSocket.")
        }
        routes.group("v1/fleet", Authenticated(Dispatcher.self)) { routes in
            routes.webSocket("live", options: Self.options, handler: watchFleet)
                .summary("Watch all drivers and open orders live over WebSocket.")
            routes.get("statistics") { _ in tracking.statistics }
                .summary("Get the number of accepted and dropped position fixes.")
        }
    }

    /// Sends a customer one order and its changes.
    @Sendable func watch(_ socket: WebSocket, _ customer: Customer, _ id: Order.ID) async throws {
        @Sendable func sendSnapshot() async throws {
            let order = try await orders.get(id, for: customer)
            let driver = order.state.isInProgress ? order.driver : nil
            let positions = [tracking.position(of: driver)].compactMap { $0 }
            try await socket.send(json: FeedMessage.snapshot(orders: [OrderView(order)], positions: positions))
        }
        // Subscribes before reading the order: changes in between are queued behind the snapshot.
        try await feed.watch(id) { member in
            try await sendSnapshot()
            try await member.relay(socket, resync: sendSnapshot)
        }
    }

    /// Sends a dispatcher all open orders and drivers, and their changes.
    @Sendable func watchFleet(_ socket: WebSocket, _ dispatcher: Dispatcher) async throws {
        @Sendable func sendSnapshot() async throws {
            let views = try await orders.open().map(OrderView.init)
            try await socket.send(json: FeedMessage.snapshot(orders: views, positions: tracking.positions))
        }
        try await feed.watchFleet { member in
            try await sendSnapshot()
            try await member.relay(socket, resync: sendSnapshot)
        }
    }

    /// Receives the fixes of a driver. One that is dropped is reported to the device, which stays connected.
    @Sendable func report(_ socket: WebSocket, _ driver: Driver) async throws {
        for try await message in socket {
            do {
                guard let fix = try? message.decode(FixReport.self) else {
                    tracking.count(.malformed)
                    throw FixRejection.malformed
                }
                try await tracking.receive(fix, from: driver)
            } catch let rejection as FixRejection {
                try await socket.send(json: FeedMessage.dropped(rejection))
            }
        }
    }
}

/// The id of the order in the path, which must belong to the customer.
private struct OwnOrder: RequestInput {
    let orders: OrderService

    func describe(_ operation: inout OpenAPI.Operation) { Path("id", as: Order.ID.self).describe(&operation) }

    func extract(from request: Request) async throws -> Order.ID {
        let id = try Path("id", as: Order.ID.self).extract(from: request)
        let customer = try Authenticated(Customer.self).extract(from: request)
        return try await orders.get(id, for: customer).id
    }
}
