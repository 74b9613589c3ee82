import Apus

/// A push notification.
struct Push: Sendable, Equatable {
    /// The same for every attempt to send the push, so that the receiving device shows it only once.
    let id: String
    let recipient: Account.ID
    let title: String
    let body: String
    /// A push replaces an earlier one with the same key on the screen.
    let collapseKey: String
}

/// Sends push notifications.
protocol PushGateway: Sendable {
    /// - Throws: An `AppError` whose code determines whether sending is retried.
    func send(_ push: Push) async throws
}

/// Prints pushes to standard output instead of sending them.
struct PrintingPushGateway: PushGateway {
    func send(_ push: Push) {
        print("PUSH id=\(push.id) to=\(push.recipient) collapse=\(push.collapseKey) \(push.title): \(push.body)")
        flushStandardOutput()
    }
}
