import Logging
import Synchronization

/// Logs that a hub does not reach other processes, once until it does again.
final class HubOutageLog: Sendable {
    private struct State {
        /// The failures since the last success.
        var failures = 0
        var notUnderstood = 0
    }

    private let name: String
    private let logger: Logger
    private let state = Mutex(State())

    init(_ name: String, _ logger: Logger) {
        self.name = name
        self.logger = logger
    }

    func failed(_ error: any Error) {
        let isFirst = state.withLock { state in
            state.failures += 1
            return state.failures == 1
        }
        guard isFirst else { return }
        logger.error(
            "hub does not reach other processes",
            metadata: ["hub": "\(name)", "error": "\(String(reflecting: error))"])
    }

    func recovered() {
        let failures = state.withLock { state in
            defer { state.failures = 0 }
            return state.failures
        }
        guard failures > 0 else { return }
        logger.notice("hub reaches other processes again", metadata: ["hub": "\(name)", "failures": "\(failures)"])
    }

    /// Notes that another process has sent something else than an envelope. Logged once.
    func notUnderstood(_ error: any Error) {
        let isFirst = state.withLock { state in
            state.notUnderstood += 1
            return state.notUnderstood == 1
        }
        guard isFirst else { return }
        logger.error(
            "hub received a message that it does not understand",
            metadata: ["hub": "\(name)", "error": "\(String(reflecting: error))"])
    }
}
