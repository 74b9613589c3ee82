import ApusHTTP

/// A task that answers one request after the other, on its event loop.
///
/// To start a task costs more than to wake one that waits, so a loop keeps a few. A request starts at once, on the stack of
/// the read that brought it, and one whose handler never waits ends there too.
///
/// `@unchecked Sendable`: everything happens on the event loop, also what the task does, by its executor preference. Work
/// that goes on after the loop has ended is alone: connections are closed by then, and nobody starts or cancels it.
final class RequestWorker: @unchecked Sendable {
    /// What answers a request: a connection, or a stream of one.
    protocol Owner: AnyObject, Sendable {
        func answer(_ request: Request) async
    }

    private let loop: LoopState
    @exclusivity(unchecked) private var work: (owner: any Owner, request: Request)?
    @exclusivity(unchecked) private var continuation: UnsafeContinuation<Void, Never>?
    private var task: Task<Void, Never>?

    init(_ loop: LoopState) { self.loop = loop }

    /// Starts to answer a request.
    func start(_ request: Request, of owner: any Owner) {
        work = (owner, request)
        if let continuation = continuation.take() { return loop.executor.resumeAtOnce(continuation) }
        // Detached, because this may be on the stack of another request whose task-local values are none of this one's.
        let task = Task.immediateDetached(executorPreference: loop.executor) { await self.run() }
        self.task = task
    }

    /// Cancels the request that is being answered. The task is spent then.
    func cancel() { task?.cancel() }

    /// Ends a worker that waits.
    func end() { continuation.take()?.resume() }

    private func run() async {
        while let (owner, request) = work.take() {
            await owner.answer(request)
            guard !Task.isCancelled, loop.keeps(self) else { break }
            await withUnsafeContinuation { continuation = $0 }
        }
        task = nil
    }
}
