import Dispatch
import NIOCore
import Synchronization

/// Runs the tasks of an event loop's requests on its thread, so that what suspends resumes where its connection lives.
///
/// `@unchecked Sendable`: the one mutable property is written on the loop alone, and ``enqueue(_:)``, which comes from any
/// thread, reads it only after it has found that it is on the loop.
final class EventLoopExecutor: TaskExecutor, @unchecked Sendable {
    private let eventLoop: any EventLoop
    private let isShutDown = Atomic(false)
    /// Takes the loop's place when it has ended: one thing at a time, as there.
    private let afterwards = DispatchQueue(label: "apus.server.afterwards")
    private var runsNextAtOnce = false

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// The loop is about to end. A handler that has not ended by then runs on elsewhere, to its end.
    func shutDown() { isShutDown.store(true, ordering: .sequentiallyConsistent) }

    /// Whether work goes elsewhere by now.
    var hasShutDown: Bool { isShutDown.load(ordering: .sequentiallyConsistent) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        if eventLoop.inEventLoop, runsNextAtOnce {
            runsNextAtOnce = false
            return job.runSynchronously(on: executor)
        }
        execute { job.runSynchronously(on: executor) }
    }

    /// Resumes a task of this executor here and now, instead of at the loop's next turn. On the loop.
    func resumeAtOnce(_ continuation: UnsafeContinuation<Void, Never>) {
        runsNextAtOnce = true
        continuation.resume()
        runsNextAtOnce = false
    }

    /// Runs something on the loop, soon.
    func execute(_ work: @escaping @Sendable () -> Void) {
        if hasShutDown {
            afterwards.async(execute: work)
        } else {
            eventLoop.execute(work)
        }
    }
}
