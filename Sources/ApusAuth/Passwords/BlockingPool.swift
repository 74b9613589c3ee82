import ApusCore
import NIOPosix
import Synchronization

/// A few threads for work that would hold up an event loop, and a bounded queue before them.
final class BlockingPool: Sendable {
    private let pool: NIOThreadPool
    private let capacity: Int
    private let inside = Atomic(0)

    init(name: String, threads: Int, waiting: Int) {
        pool = NIOThreadPool(numberOfThreads: threads)
        capacity = threads + waiting
        pool.start()
    }

    deinit { pool.shutdownGracefully { _ in } }

    /// - Throws: An `AppError` of code `unavailable` when the queue is full, `CancellationError` when the task is cancelled
    ///   before its turn, and what the work throws.
    func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        defer { inside.subtract(1, ordering: .relaxed) }
        guard inside.add(1, ordering: .relaxed).newValue <= capacity else {
            throw AppError(.unavailable, "Too many requests of this kind at once.", retryAfter: .seconds(1))
        }
        return try await pool.runIfActive(work)
    }
}
