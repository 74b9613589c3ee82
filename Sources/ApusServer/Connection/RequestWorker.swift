import ApusCore
import ApusHTTP
import ServiceContextModule

/// A task that handles one request after another on its event loop.
///
/// Starting a task costs more than resuming a suspended one, so each event loop keeps a few. A request starts
/// immediately, on the stack of the read that received it; if its handler never suspends, it also ends there.
///
/// `@unchecked Sendable`: everything runs on the event loop, including the task through its executor preference. A
/// handler that outlives the event loop has no concurrent callers: by then the connections are closed, and nothing
/// starts or cancels the worker.
final class RequestWorker: @unchecked Sendable {
    /// The connection or stream that a request belongs to.
    protocol Owner: AnyObject, Sendable {
        /// Sends a response whose body is available.
        /// - Returns: Whether the body was available. If not, ``stream(_:)`` follows.
        func deliver(_ response: Response) -> Bool
        /// Sends a response whose body is produced while it is sent.
        func stream(_ response: Response) async
    }

    private let loop: LoopState
    @exclusivity(unchecked) private var work: (owner: any Owner, request: Request)?
    @exclusivity(unchecked) private var continuation: UnsafeContinuation<Void, Never>?
    private var task: Task<Void, Never>?

    init(_ loop: LoopState) { self.loop = loop }

    /// Starts handling a request.
    func start(_ request: Request, of owner: any Owner) {
        work = (owner, request)
        if let continuation = continuation.take() { return loop.executor.resumeInline(continuation) }
        // Detached, because this may run on the stack of another request, whose task-local values must not be
        // inherited.
        let task = Task.immediateDetached(executorPreference: loop.executor) { await self.run() }
        self.task = task
    }

    /// Cancels the current request. The worker cannot be reused afterwards.
    func cancel() { task?.cancel() }

    /// Ends an idle worker.
    func end() { continuation.take()?.resume() }

    private func run() async {
        while work != nil {
            let context = loop.requestContext
            await ServiceContext.withValue(context.value) { await handleRequests(of: context.tick) }
        }
        task = nil
    }

    /// Handles requests for as long as they begin in the same tick of the loop. They share a service context; binding
    /// it for each request would cost more than routing the request.
    ///
    /// This is one function, because every asynchronous call checks its executor when it returns.
    private func handleRequests(of tick: Int) async {
        while tick == loop.requestContext.tick, let (owner, request) = work.take() {
            var response: Response
            var isCounted = false
            do {
                try loop.core.begin(request)
                isCounted = true
                response = try await loop.core.handler(request)
            } catch {
                response = Response(error: error)
            }
            // No middleware has rendered the failure.
            if response.unrenderedFailure != nil { response = response.rendered(requestID: request.context.id) }
            // With a deferred head, the work is done while the response is streamed, so the request is in flight until
            // then.
            let isBidirectional = response.defersHead
            if isCounted, !isBidirectional { loop.core.end() }
            if !owner.deliver(response) { await owner.stream(response) }
            if isCounted, isBidirectional { loop.core.end() }
            guard !Task.isCancelled, loop.park(self) else { return }
            await withUnsafeContinuation { continuation = $0 }
        }
    }
}
