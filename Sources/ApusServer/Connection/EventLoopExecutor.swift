import Dispatch
import NIOCore
import Synchronization

/// Runs the tasks of an event loop's requests on the loop's thread, so that they resume on the thread of their
/// connection.
///
/// `@unchecked Sendable`: the only mutable property is written on the event loop. ``enqueue(_:)``, which is called from
/// any thread, reads it only after checking that it is on the event loop.
final class EventLoopExecutor: TaskExecutor, @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let isShutDown = Atomic(false)
    /// Replaces the event loop after its shutdown. Like the loop, it is serial.
    private let fallbackQueue = DispatchQueue(label: "apus.server.fallback")
    private var runsNextInline = false

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// Redirects further work to the fallback queue, because the event loop is about to end. Handlers that are still
    /// running finish there.
    func shutDown() { isShutDown.store(true, ordering: .sequentiallyConsistent) }

    /// Whether work runs on the fallback queue instead of the event loop.
    var hasShutDown: Bool { isShutDown.load(ordering: .sequentiallyConsistent) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        if eventLoop.inEventLoop, runsNextInline {
            runsNextInline = false
            return job.runSynchronously(on: executor)
        }
        execute { job.runSynchronously(on: executor) }
    }

    /// Resumes a task of this executor inline instead of in the next iteration of the loop. Must be called on the event
    /// loop.
    func resumeInline(_ continuation: UnsafeContinuation<Void, Never>) {
        runsNextInline = true
        continuation.resume()
        runsNextInline = false
    }

    /// Schedules work on the event loop.
    func execute(_ work: @escaping @Sendable () -> Void) {
        if hasShutDown {
            fallbackQueue.async(execute: work)
        } else {
            eventLoop.execute(work)
        }
    }
}
