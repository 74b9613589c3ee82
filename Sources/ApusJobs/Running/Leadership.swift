import ApusCore
import ApusData
import FoundationEssentials
import Logging
import Synchronization

/// The election of the one process that enqueues the jobs of schedules.
///
/// A leader is one as long as its worker lease is registered. Its rights are a convenience and no guarantee: what it does is
/// also right if two processes think that they are leaders.
final class Leadership: Sendable {
    private let store: JobStore
    private let lease: WorkerLease
    private let logger: Logger
    private let leader = Mutex<WorkerID?>(nil)

    init(_ store: JobStore, _ lease: WorkerLease, logger: Logger) {
        self.store = store
        self.lease = lease
        self.logger = logger
    }

    var isLeader: Bool { leader.withLock { $0 }.map { $0 == lease.current } ?? false }

    /// Stops being the leader.
    /// - Returns: Whether it was.
    func resign() -> Bool { leader.withLock { $0.take() } != nil }

    /// Becomes the leader if there is none.
    func campaign() async throws {
        guard let worker = lease.current else { return }
        let elected = try await store.elect(worker)
        let wasLeader = leader.withLock { leader in
            defer { leader = elected }
            return leader == worker
        }
        guard (elected == worker) != wasLeader else { return }
        let message: Logger.Message =
            wasLeader ? "Another process is the leader now." : "This process is the leader, which runs the schedules."
        logger.info(message)
    }
}

extension JobStore {
    /// Elects a process if there is no leader, or if it is not registered any more.
    /// - Returns: The leader.
    fileprivate func elect(_ worker: WorkerID) async throws -> WorkerID? {
        let now = clock.now
        let current: SQL = "SELECT worker FROM apus_job_leader"
        let rows = try await database.query("\(current) WHERE worker IN (SELECT id FROM apus_job_worker)")
        if let leader: WorkerID = try rows.first?.get(0) { return leader }
        try await database.execute(
            """
            INSERT INTO apus_job_leader (role, worker, term, elected_at) VALUES ('schedules', \(worker), 1, \(now))
            ON CONFLICT (role) DO UPDATE
            SET worker = excluded.worker, term = apus_job_leader.term + 1, elected_at = excluded.elected_at
            WHERE apus_job_leader.worker NOT IN (SELECT id FROM apus_job_worker)
            """)
        return try await database.query(current).first?.get(0)
    }
}
