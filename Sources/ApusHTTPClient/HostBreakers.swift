import ApusCore
import Logging
import Synchronization

/// The circuit breakers of the called servers, one per host and port.
final class HostBreakers: Sendable {
    private let policy: CircuitBreaker.Policy?
    private let clock: any WallClock
    private let logger: Logger
    private let breakers = Mutex<[String: CircuitBreaker]>([:])

    /// The maximum number of hosts to keep. Hosts with closed breakers are removed first.
    private static let capacity = 1000

    init(policy: CircuitBreaker.Policy?, clock: any WallClock, logger: Logger) {
        self.policy = policy
        self.clock = clock
        self.logger = logger
    }

    /// Returns the circuit breaker of a host, or `nil` if circuit breakers are disabled.
    func breaker(for host: String) -> CircuitBreaker? {
        guard let policy else { return nil }
        return breakers.withLock { breakers in
            if let breaker = breakers[host] { return breaker }
            if breakers.count >= Self.capacity { breakers = breakers.filter { $0.value.state != .closed } }
            if breakers.count >= Self.capacity { breakers = [:] }
            let breaker = CircuitBreaker(host, policy: policy, clock: clock) { [logger] state in
                logger.warning(
                    "A circuit breaker changed state.", metadata: ["host": .string(host), "state": .string("\(state)")])
            }
            breakers[host] = breaker
            return breaker
        }
    }
}
