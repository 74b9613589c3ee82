import ApusCore
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
    private let gatesWait = Atomic(false)
    private let waitingGates = Mutex<[AcceptGate]>([])

    init(limits: ServerLimits, logger: Logger, handler: @escaping Handler) {
        self.limits = limits
        self.logger = logger
        self.handler = handler
    }

    var isDraining: Bool { draining.load(ordering: .relaxed) }

    func startDraining() { draining.store(true, ordering: .relaxed) }

    var openConnections: Int { connections.load(ordering: .relaxed) }

    /// How many connections more there may be.
    var room: Int { limits.connections - openConnections }

    /// Counts a connection if there is room for one more.
    func connectionOpened() -> Bool {
        guard connections.add(1, ordering: .relaxed).newValue > limits.connections else { return true }
        connections.subtract(1, ordering: .relaxed)
        return false
    }

    func connectionClosed() {
        connections.subtract(1, ordering: .sequentiallyConsistent)
        guard gatesWait.load(ordering: .sequentiallyConsistent) else { return }
        let gates = waitingGates.withLock { gates in
            gatesWait.store(false, ordering: .sequentiallyConsistent)
            defer { gates = [] }
            return gates
        }
        for gate in gates { gate.roomIsLeft() }
    }

    /// Tells a listener once there is room for a connection, which may be at once.
    func whenThereIsRoom(_ gate: AcceptGate) {
        waitingGates.withLock { gates in
            gates.append(gate)
            gatesWait.store(true, ordering: .sequentiallyConsistent)
        }
        // A connection that was closed before the flag could be seen has told nobody.
        if connections.load(ordering: .sequentiallyConsistent) < limits.connections { gate.roomIsLeft() }
    }

    /// Counts a request that is about to be handled.
    /// - Throws: An ``AppError`` of code `unavailable` past the cap.
    func begin(_ request: Request) throws {
        let isWithinLimit = requests.add(1, ordering: .relaxed).newValue <= limits.requestsInFlight
        guard isWithinLimit || limits.alwaysServed.contains(String(request.path)) else {
            end()
            throw AppError(.unavailable, "The server is at its limit.", retryAfter: .seconds(1))
        }
    }

    /// A request that had begun was handled.
    func end() { requests.subtract(1, ordering: .relaxed) }

    /// A streamed response ended before its body did.
    func log(cutOff error: any Error) {
        guard !(error is CancellationError) else { return }
        logger.warning(
            "A streamed response was cut off.", metadata: ["error": .string(AppError(wrapping: error).debugDescription)]
        )
    }
}
