import Dispatch
import NIOCore
import Synchronization

/// Runs the tasks of an event loop's requests on its thread, so that what suspends resumes where its connection lives.
final class EventLoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop
    private let isShutDown = Atomic(false)
    /// Takes the loop's place when it has ended: one thing at a time, as there.
    private let afterwards = DispatchQueue(label: "apus.server.afterwards")

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// The loop is about to end. A handler that has not ended by then runs on elsewhere, to its end.
    func shutDown() { isShutDown.store(true, ordering: .sequentiallyConsistent) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        execute { job.runSynchronously(on: executor) }
    }

    /// Runs something on the loop, soon.
    func execute(_ work: @escaping @Sendable () -> Void) {
        if isShutDown.load(ordering: .sequentiallyConsistent) {
            afterwards.async(execute: work)
        } else {
            eventLoop.execute(work)
        }
    }
}
