import ApusCore
import Logging
import Synchronization

/// The circuit breakers of the hosts that were called, one each.
final class HostBreakers: Sendable {
    private let policy: CircuitBreaker.Policy?
    private let clock: any WallClock
    private let logger: Logger
    private let breakers = Mutex<[String: CircuitBreaker]>([:])

    /// More hosts than these are not remembered: those whose breakers are closed go first.
    private static let capacity = 1000

    init(policy: CircuitBreaker.Policy?, clock: any WallClock, logger: Logger) {
        self.policy = policy
        self.clock = clock
        self.logger = logger
    }

    /// - Returns: `nil` when there are to be none.
    func breaker(of host: String) -> CircuitBreaker? {
        guard let policy else { return nil }
        return breakers.withLock { breakers in
            if let breaker = breakers[host] { return breaker }
            if breakers.count >= Self.capacity { breakers = breakers.filter { $0.value.state != .closed } }
            if breakers.count >= Self.capacity { breakers = [:] }
            let breaker = CircuitBreaker(host, policy: policy, clock: clock) { [logger] state in
                logger.warning(
                    "A circuit breaker changed.", metadata: ["host": .string(host), "state": .string("\(state)")])
            }
            breakers[host] = breaker
            return breaker
        }
    }
}
