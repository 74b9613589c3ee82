import NIOCore

extension EventLoopFuture where Value: Sendable {
    /// Waits for the result, or until the task is cancelled. What the future stands for goes on then.
    /// - Throws: The future's error, or `CancellationError`.
    func valueUnlessCancelled() async throws -> Value {
        let promise = eventLoop.makePromise(of: Value.self)
        cascade(to: promise)
        return try await withTaskCancellationHandler {
            try await promise.futureResult.get()
        } onCancel: {
            promise.fail(CancellationError())
        }
    }
}
