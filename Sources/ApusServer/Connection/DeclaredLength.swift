import ApusCore
import Synchronization

/// Checks that a streamed body has exactly its declared length, and that nothing is written after its end.
final class DeclaredLength: Sendable {
    private let state: Mutex<(remaining: Int?, isFinished: Bool)>

    /// - Parameter length: The declared length, if any.
    init(_ length: Int?) { state = Mutex((length, false)) }

    /// Counts bytes that are about to be written.
    /// - Throws: An `AppError` if they exceed the declared length or the body has ended.
    func add(_ bytes: Int) throws {
        try state.withLock { state in
            guard !state.isFinished else {
                throw AppError(.internal, "The response has ended; nothing more can be written to it.")
            }
            guard let left = state.remaining else { return }
            guard bytes <= left else {
                throw AppError(.internal, "The response body is longer than its declared length.")
            }
            state.remaining = left - bytes
        }
    }

    /// Ends the body.
    /// - Throws: An `AppError` if fewer bytes were written than declared.
    func finish() throws {
        let left = state.withLock { state in
            state.isFinished = true
            return state.remaining ?? 0
        }
        if left > 0 {
            throw AppError(.internal, "The response body is \(left) bytes shorter than its declared length.")
        }
    }
}
