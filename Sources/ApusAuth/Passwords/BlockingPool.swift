import ApusCore
import NIOPosix
import Synchronization

/// A thread pool with a bounded queue, for work that would block an event loop.
final class BlockingPool: Sendable {
    private let pool: NIOThreadPool
    private let capacity: Int
    /// The number of running and queued work items.
    private let itemCount = Atomic(0)

    init(name: String, threads: Int, maximumWaiting: Int) {
        pool = NIOThreadPool(numberOfThreads: threads)
        capacity = threads + maximumWaiting
        pool.start()
    }

    deinit { pool.shutdownGracefully { _ in } }

    /// Runs work on a thread of the pool.
    /// - Throws: An `AppError` with code `unavailable` if the queue is full; `CancellationError` if the task is
    ///   cancelled while the work is queued; otherwise the error of the work.
    func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        defer { itemCount.subtract(1, ordering: .relaxed) }
        guard itemCount.add(1, ordering: .relaxed).newValue <= capacity else {
            throw AppError(.unavailable, "Too many concurrent requests of this kind.", retryAfter: .seconds(1))
        }
        return try await pool.runIfActive(work)
    }
}
