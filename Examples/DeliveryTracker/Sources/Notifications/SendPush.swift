import Apus

/// Tells a customer who is not watching what became of their order.
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
        case .awaitingPayment: "is waiting for your payment."
        case .paid: "is paid. We are looking for a driver."
        case .assigned: "has a driver."
        case .pickedUp: "is on its way."
        case .delivered: "has arrived."
        case .cancelled: "was cancelled."
        }
    }
}
