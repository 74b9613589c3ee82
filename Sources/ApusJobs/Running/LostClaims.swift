import Synchronization

/// Returns jobs that were given to this process, but whose claim was never answered, for example because the connection
/// broke after the database had committed it. Nobody would perform them as long as the process lives.
final class LostClaims: Sendable {
    private let store: JobStore
    /// The attempts that nobody knew when the last beat was sent. The answer to their claim may still be on its way.
    private let suspects = Mutex<Set<AttemptKey>>([])

    init(_ store: JobStore) { self.store = store }

    /// Returns the jobs that nobody knew at the last two calls.
    /// - Parameter known: Returns the attempts that are in store, in progress, or whose outcomes are about to be stored.
    /// - Returns: The number of jobs.
    func giveBack(of worker: WorkerID, known: () -> Set<AttemptKey>) async throws -> Int {
        let unknown = try await store.attempts(of: worker).subtracting(known())
        let lost = suspects.withLock { suspects in
            defer { suspects = unknown }
            return suspects.intersection(unknown)
        }
        guard !lost.isEmpty else { return 0 }
        return try await store.giveBack(lost, of: worker)
    }
}
