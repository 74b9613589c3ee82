import Apus

/// Notifies a customer who is not connected of the new state of their order.
struct SendPush: Job, Equatable {
    static let name = "send-push"

    let recipient: Account.ID
    let order: Order.ID
    let state: Order.State

    init(_ order: Order) {
        recipient = order.customer
        self.order = order.id
        state = order.state
    }
}

struct SendPushWorker: Worker {
    let gateway: any PushGateway

    func perform(_ job: SendPush, _ context: JobContext) async throws {
        try await gateway.send(
            Push(
                id: context.id.description, recipient: job.recipient, title: "Your delivery",
                body: Self.text(of: job.state), collapseKey: job.order.description))
    }

    private static func text(of state: Order.State) -> String {
        switch state {
        case .awaitingPayment: "Your order is waiting for payment."
        case .paid: "We received your payment and are looking for a driver."
        case .assigned: "A driver has accepted your order."
        case .pickedUp: "Your order is on its way."
        case .delivered: "Your order has arrived."
        case .cancelled: "Your order was cancelled."
        }
    }
}
