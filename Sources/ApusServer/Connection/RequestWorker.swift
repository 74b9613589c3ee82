import ApusCore
import ApusHTTP
import ServiceContextModule

/// A task that answers one request after the other, on its event loop.
///
/// To start a task costs more than to wake one that waits, so a loop keeps a few. A request starts at once, on the stack of
/// the read that brought it, and one whose handler never waits ends there too.
///
/// `@unchecked Sendable`: everything happens on the event loop, also what the task does, by its executor preference. Work
/// that goes on after the loop has ended is alone: connections are closed by then, and nobody starts or cancels it.
final class RequestWorker: @unchecked Sendable {
    /// Whose request it is: a connection, or a stream of one.
    protocol Owner: AnyObject, Sendable {
        /// Sends a response that is at hand.
        /// - Returns: Whether it was at hand. If not, ``stream(_:)`` follows.
        func deliver(_ response: Response) -> Bool
        /// Sends a response that is made while it is sent.
        func stream(_ response: Response) async
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
        while work != nil {
            let context = loop.requestContext
            await ServiceContext.withValue(context.value) { await answerRequests(of: context.tick) }
        }
        task = nil
    }

    /// Answers requests as long as they begin in one tick of the loop: they share what they start with, and to bind that
    /// for each of them would cost more than to find their routes.
    ///
    /// All in one function, because every asynchronous call looks at where it runs when it comes back.
    private func answerRequests(of tick: Int) async {
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
            // No middleware has given it a body.
            if response.unrenderedFailure != nil { response = response.rendered(requestID: request.context.id) }
            // A request whose work is done while it is answered is under way for as long.
            let isConversation = response.defersHead
            if isCounted, !isConversation { loop.core.end() }
            if !owner.deliver(response) { await owner.stream(response) }
            if isCounted, isConversation { loop.core.end() }
            guard !Task.isCancelled, loop.keeps(self) else { return }
            await withUnsafeContinuation { continuation = $0 }
        }
    }
}
