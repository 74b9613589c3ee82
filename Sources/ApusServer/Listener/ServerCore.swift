import ApusCore
import ApusHTTP
import Logging
import Synchronization

/// The state that all connections share.
final class ServerCore: Sendable {
    let limits: ServerLimits
    let handler: Handler
    let logger: Logger
    private let connections = Atomic(0)
    private let requests = Atomic(0)
    private let draining = Atomic(false)
    private let hasWaitingGates = Atomic(false)
    private let waitingGates = Mutex<[AcceptGate]>([])

    init(limits: ServerLimits, logger: Logger, handler: @escaping Handler) {
        self.limits = limits
        self.logger = logger
        self.handler = handler
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) }

    func startDraining() { draining.store(true, ordering: .relaxed) }

    var openConnections: Int { connections.load(ordering: .relaxed) }

    /// How many more connections may be opened.
    var room: Int { limits.connections - openConnections }

    /// Counts a new connection if there is room for it.
    /// - Returns: Whether there is room.
    func admitConnection() -> Bool {
        guard connections.add(1, ordering: .relaxed).newValue > limits.connections else { return true }
        connections.subtract(1, ordering: .relaxed)
        return false
    }

    func connectionClosed() {
        connections.subtract(1, ordering: .sequentiallyConsistent)
        guard hasWaitingGates.load(ordering: .sequentiallyConsistent) else { return }
        let gates = waitingGates.withLock { gates in
            hasWaitingGates.store(false, ordering: .sequentiallyConsistent)
            defer { gates = [] }
            return gates
        }
        for gate in gates { gate.roomBecameAvailable() }
    }

    /// Notifies a gate as soon as there is room for a connection, which may be immediately.
    func notifyWhenRoomIsAvailable(_ gate: AcceptGate) {
        waitingGates.withLock { gates in
            gates.append(gate)
            hasWaitingGates.store(true, ordering: .sequentiallyConsistent)
        }
        // A connection that closed before the flag was visible has notified no gate.
        if connections.load(ordering: .sequentiallyConsistent) < limits.connections { gate.roomBecameAvailable() }
    }

    /// Counts a request that is about to be handled.
    /// - Throws: An `AppError` with code `unavailable` if the limit is exceeded.
    func begin(_ request: Request) throws {
        let isWithinLimit = requests.add(1, ordering: .relaxed).newValue <= limits.requestsInFlight
        guard isWithinLimit || limits.alwaysServed.contains(String(request.path)) else {
            end()
            throw AppError(.unavailable, "The server is handling too many requests.", retryAfter: .seconds(1))
        }
    }

    /// Ends the count of a request that has been handled.
    func end() { requests.subtract(1, ordering: .relaxed) }

    /// Logs that a streamed response ended before its body was complete.
    func logAbortedResponse(_ error: any Error) {
        guard !(error is CancellationError) else { return }
        logger.warning(
            "A streamed response was aborted.", metadata: ["error": .string(AppError(wrapping: error).debugDescription)]
        )
    }
}
