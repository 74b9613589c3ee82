import Apus

/// The endpoints of orders, declared once for the routes and for Swift clients.
enum OrderEndpoints {
    private static let id = Path("id", as: Order.ID.self)

    static let place = Endpoint(.post, "v1/orders", Body(PlaceOrder.self), answers: Created<PlacedOrder>.self)
    static let list = Endpoint(.get, "v1/orders", Paging(by: Order.ID.self), answers: Page<OrderView>.self)
    static let show = Endpoint(.get, "v1/orders/:id", id, answers: OrderView.self)
    static let cancel = Endpoint(.post, "v1/orders/:id/cancellation", id, answers: OrderView.self)

    static let waiting = Endpoint(.get, "v1/drivers/waiting-orders", answers: [OrderView].self)
    static let assign = Endpoint(.post, "v1/orders/:id/assignment", id, answers: OrderView.self)
    static let pickUp = Endpoint(.post, "v1/orders/:id/pickup", id, answers: OrderView.self)
    static let deliver = Endpoint(.post, "v1/orders/:id/delivery", id, answers: OrderView.self)
}
