import Synchronization

/// Keeps calls from something that fails anyway: after too many failures it refuses them for a while, then lets single ones
/// through to see whether it has recovered.
///
/// ```swift
/// let breaker = CircuitBreaker("payments")
/// let receipt = try await breaker.run { try await payments.charge(order) }
/// ```
///
/// One per thing that can fail: one for all would let a broken host bar the way to the others.
public final class CircuitBreaker: Sendable {
    /// When it opens, and for how long.
    public struct Policy: Sendable {
        /// The time that is looked back on. 10 seconds.
        public var window = Duration.seconds(10)
        /// It never opens on fewer calls in the window. 20.
        public var minimumCalls = 20
        /// The part of failures that opens it. 0.5.
        public var failureRatio = 0.5
        /// How long it refuses all calls. 5 seconds.
        public var openDuration = Duration.seconds(5)

        public init() {}
    }

    /// What it does with calls.
    public enum State: Sendable, Equatable {
        /// Lets them through.
        case closed
        /// Refuses them.
        case open
        /// Lets one at a time through.
        case halfOpen
    }

    /// How a call went.
    package enum Outcome: Sendable {
        case success
        case failure
        /// It says nothing of what was called, as a call that was cancelled.
        case none
    }

    /// What it stands before, for errors and logs.
    public let name: String
    private let machine: Mutex<CircuitStateMachine>
    private let clock: any WallClock
    private let onChange: @Sendable (State) -> Void

    /// - Parameter onChange: Called when the state changes: for logs and metrics.
    public init(
        _ name: String, policy: Policy = Policy(), clock: any WallClock = SystemClock(),
        onChange: @escaping @Sendable (State) -> Void = { _ in }
    ) {
        self.name = name
        self.clock = clock
        self.onChange = onChange
        machine = Mutex(CircuitStateMachine(policy: policy, now: clock.uptime))
    }

    /// What it does with calls now.
    public var state: State { machine.withLock { $0.state(now: clock.uptime) } }

    /// Calls something, unless it is known to fail.
    /// - Parameter isFailure: Whether an error is the fault of what was called. By default those that may pass by
    ///   themselves are (see ``StatusCode/isTransient``), but for cancellation and exhausted quotas.
    /// - Throws: An `AppError` of code `unavailable` when it refuses, and what the operation throws.
    public func run<Result>(
        isFailure: (any Error) -> Bool = CircuitBreaker.isFailure, _ operation: () async throws -> Result
    ) async throws -> Result {
        let ticket = try admit()
        do {
            let result = try await operation()
            record(.success, ticket)
            return result
        } catch {
            record(error is CancellationError ? .none : isFailure(error) ? .failure : .success, ticket)
            throw error
        }
    }

    /// Whether an error says that what was called is not well.
    public static func isFailure(_ error: any Error) -> Bool {
        let code = AppError(wrapping: error).code
        return code.isTransient && code != .cancelled && code != .resourceExhausted && code != .aborted
    }

    /// Asks to make a call. What it gives must be handed back to ``record(_:_:)``, once.
    /// - Throws: An `AppError` of code `unavailable` when it refuses.
    package func admit() throws -> CircuitStateMachine.Ticket {
        let (admission, changed) = machine.withLock { machine in
            let before = machine.current
            let admission = machine.admit(now: clock.uptime)
            return (admission, before == machine.current ? nil : machine.current)
        }
        if let changed { onChange(changed) }
        switch admission {
        case .admitted(let ticket): return ticket
        case .refused(let retryAfter):
            throw AppError(
                .unavailable, "\(name) has failed too often of late; it is not asked now.", reason: .circuitOpen,
                retryAfter: retryAfter)
        }
    }

    package func record(_ outcome: Outcome, _ ticket: CircuitStateMachine.Ticket) {
        let changed = machine.withLock { machine in
            let before = machine.current
            machine.record(outcome, ticket, now: clock.uptime)
            return before == machine.current ? nil : machine.current
        }
        if let changed { onChange(changed) }
    }
}
