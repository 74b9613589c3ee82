import ApusHTTP
import Logging
import Synchronization

/// What all connections share.
final class ServerCore: Sendable {
    let limits: ServerLimits
    let handler: Handler
    let logger: Logger
    private let connections = Atomic(0)
    private let requests = Atomic(0)
    private let draining = Atomic(false)

    init(limits: ServerLimits, logger: Logger, handler: @escaping Handler) {
        self.limits = limits
        self.logger = logger
        self.handler = handler
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) }

    func startDraining() { draining.store(true, ordering: .relaxed) }

    var openConnections: Int { connections.load(ordering: .relaxed) }

    /// - Returns: Whether there is room for one more connection.
    func connectionOpened() -> Bool {
        connections.add(1, ordering: .relaxed).newValue <= limits.connections
    }

    func connectionClosed() { connections.subtract(1, ordering: .relaxed) }

    /// - Returns: Whether there is room for one more request; if so ``leave()`` must follow.
    func enter() -> Bool {
        guard requests.add(1, ordering: .relaxed).newValue <= limits.requestsInFlight else {
            leave()
            return false
        }
        return true
    }

    func leave() { requests.subtract(1, ordering: .relaxed) }
}
