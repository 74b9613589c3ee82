import NIOCore
import Synchronization

/// An unbounded queue of bytes from one end of a connection to the other, for one reader.
final class ByteQueue: Sendable {
    private struct State {
        var pieces: [ByteBuffer] = []
        var isFinished = false
        var waiter: CheckedContinuation<ByteBuffer?, any Error>?
    }

    private let state = Mutex(State())

    func push(_ bytes: ByteBuffer) {
        let waiter = state.withLock { state in
            if let waiter = state.waiter.take() { return waiter as CheckedContinuation<ByteBuffer?, any Error>? }
            state.pieces.append(bytes)
            return nil
        }
        waiter?.resume(returning: bytes)
    }

    func finish() {
        state.withLock { state in
            state.isFinished = true
            return state.waiter.take()
        }?.resume(returning: nil)
    }

    func next() async throws -> ByteBuffer? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result: Result<ByteBuffer?, any Error>? = state.withLock { state in
                    if !state.pieces.isEmpty { return .success(state.pieces.removeFirst()) }
                    if state.isFinished { return .success(nil) }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiter = continuation
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            state.withLock { $0.waiter.take() }?.resume(throwing: CancellationError())
        }
    }
}
