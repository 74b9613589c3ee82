import Apus

/// A message for someone's phone.
struct Push: Sendable, Equatable {
    /// The same for every attempt to send it: the receiving side shows it once.
    let id: String
    let recipient: Account.ID
    let title: String
    let body: String
    /// A later push of the same key replaces an earlier one on the screen.
    let collapseKey: String
}

/// Sends pushes.
protocol PushGateway: Sendable {
    /// - Throws: An `AppError` whose code says whether another attempt makes sense.
    func send(_ push: Push) async throws
}

/// Sends nothing: writes to standard output what it would send.
struct PrintingPushGateway: PushGateway {
    func send(_ push: Push) {
        print("PUSH id=\(push.id) to=\(push.recipient) collapse=\(push.collapseKey) \(push.title): \(push.body)")
        flushStandardOutput()
    }
}
