import Synchronization

/// A circuit breaker: after too many failures it rejects calls to a dependency for a while, then admits single calls to
/// probe whether the dependency has recovered.
///
/// ```swift
/// let breaker = CircuitBreaker("payments")
/// let receipt = try await breaker.run { try await payments.charge(order) }
/// ```
///
/// Use one circuit breaker per dependency, so that a failing dependency does not block calls to the others.
public final class CircuitBreaker: Sendable {
    /// The policy that determines when the circuit breaker opens, and for how long.
    public struct Policy: Sendable {
        /// The sliding window in which calls are counted. 10 seconds by default.
        public var window = Duration.seconds(10)
        /// The number of calls in the window below which it never opens. 20 by default.
        public var minimumCalls = 20
        /// The ratio of failed calls at which it opens. 0.5 by default.
        public var failureRatio = 0.5
        /// How long it stays open before it admits a probe. 5 seconds by default.
        public var openDuration = Duration.seconds(5)

        public init() {}
    }

    /// The state of a circuit breaker.
    public enum State: Sendable, Equatable {
        /// All calls are admitted.
        case closed
        /// All calls are rejected.
        case open
        /// One call at a time is admitted as a probe.
        case halfOpen
    }

    /// The outcome of a call.
    package enum Outcome: Sendable {
        case success
        case failure
        /// The outcome says nothing about the dependency, as for a cancelled call.
        case none
    }

    /// The name of the protected dependency, for error messages and logs.
    public let name: String
    private let machine: Mutex<CircuitStateMachine>
    private let clock: any WallClock
    private let onChange: @Sendable (State) -> Void

    /// Creates a circuit breaker.
    /// - Parameters:
    ///   - name: The name of the protected dependency.
    ///   - onChange: Called when the state changes, for logs and metrics.
    public init(
        _ name: String, policy: Policy = Policy(), clock: any WallClock = SystemClock(),
        onChange: @escaping @Sendable (State) -> Void = { _ in }
    ) {
        self.name = name
        self.clock = clock
        self.onChange = onChange
        machine = Mutex(CircuitStateMachine(policy: policy, now: clock.uptime))
    }

    /// The current state.
    public var state: State { machine.withLock { $0.state(now: clock.uptime) } }

    /// Runs an operation unless the circuit breaker is open.
    /// - Parameter isFailure: Returns whether an error counts as a failure of the dependency. By default see
    ///   ``isFailure(_:)``.
    /// - Throws: An `AppError` with code `unavailable` if the call is rejected; otherwise the error of the operation.
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

    /// Returns whether an error indicates a failure of the dependency: transient errors (see
    /// ``StatusCode/isTransient``) except for cancellation, exhausted quotas and aborted operations.
    public static func isFailure(_ error: any Error) -> Bool {
        let code = AppError(wrapping: error).code
        return code.isTransient && code != .cancelled && code != .resourceExhausted && code != .aborted
    }

    /// Admits a call. The returned ticket must be passed to ``record(_:_:)`` exactly once.
    /// - Throws: An `AppError` with code `unavailable` if the call is rejected.
    package func admit() throws -> CircuitStateMachine.Ticket {
        let (admission, changed) = machine.withLock { machine in
            let before = machine.current
            let admission = machine.admit(now: clock.uptime)
            return (admission, before == machine.current ? nil : machine.current)
        }
        if let changed { onChange(changed) }
        switch admission {
        case .admitted(let ticket): return ticket
        case .rejected(let retryAfter):
            throw AppError(
                .unavailable, "The circuit breaker \"\(name)\" is open after too many failures.", reason: .circuitOpen,
                retryAfter: retryAfter)
        }
    }

    /// Records the outcome of an admitted call.
    package func record(_ outcome: Outcome, _ ticket: CircuitStateMachine.Ticket) {
        let changed = machine.withLock { machine in
            let before = machine.current
            machine.record(outcome, ticket, now: clock.uptime)
            return before == machine.current ? nil : machine.current
        }
        if let changed { onChange(changed) }
    }
}
