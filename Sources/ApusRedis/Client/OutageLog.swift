import ApusCore
import Logging
import Synchronization

/// Logs when a server goes away and when it is back, once each, however many connections and commands fail between.
final class OutageLog: Sendable {
    private struct Outage {
        let start: ContinuousClock.Instant
        /// The attempts to connect that failed.
        var attempts = 0
        /// The commands that failed.
        var commands = 0
    }

    private let logger: Logger
    private let outages = Mutex<[String: Outage]>([:])
    /// Whether there may be an outage. Read for each access.
    private let isAnyAway = Atomic(false)

    init(_ logger: Logger) { self.logger = logger }

    /// Notes that a connection was lost or could not be opened, or that an access failed.
    func failed(_ server: String, _ failure: any Error) {
        let isNew = outages.withLock { outages in
            guard outages[server] == nil else {
                outages[server]?.attempts += 1
                return false
            }
            outages[server] = Outage(start: .now)
            isAnyAway.store(true, ordering: .relaxed)
            return true
        }
        guard isNew else { return }
        logger.error(
            "redis is not available", metadata: ["server": "\(server)", "error": "\(String(reflecting: failure))"])
    }

    /// Counts a command that failed because the server is away.
    func rejectedCommand(_ server: String) { outages.withLock { $0[server]?.commands += 1 } }

    /// Notes that a connection has been opened.
    func recovered(_ server: String) {
        guard isAnyAway.load(ordering: .relaxed) else { return }
        guard
            let outage = outages.withLock({ outages in
                defer { isAnyAway.store(!outages.isEmpty, ordering: .relaxed) }
                return outages.removeValue(forKey: server)
            })
        else { return }
        logger.notice(
            "redis is available again",
            metadata: [
                "server": "\(server)", "away_s": "\(outage.start.duration(to: .now).seconds)",
                "failed_attempts": "\(outage.attempts)", "failed_commands": "\(outage.commands)",
            ])
    }

    /// Forgets a server that does not belong to the cluster any more.
    func forget(_ server: String) { outages.withLock { $0[server] = nil } }
}
