import NIOCore
import NIOPosix

/// Runs tasks on an event loop, as the server runs the handlers of requests.
private final class LoopTaskExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// Runs a closure on one event loop, so that its statements use the connections of that loop, and the messages are the
/// same in each run.
func onOneLoop<Result>(_ body: () async throws -> Result) async rethrows -> Result {
    try await withTaskExecutorPreference(LoopTaskExecutor(MultiThreadedEventLoopGroup.singleton.next())) {
        try await body()
    }
}
