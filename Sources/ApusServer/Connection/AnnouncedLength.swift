import ApusCore
import Synchronization

/// Holds a streamed body to the length that was announced for it, and to its end.
final class AnnouncedLength: Sendable {
    private let state: Mutex<(remaining: Int?, isFinished: Bool)>

    /// - Parameter length: The announced length, if there is one.
    init(_ length: Int?) { state = Mutex((length, false)) }

    /// - Throws: When that is more than was announced, or the body is over.
    func add(_ bytes: Int) throws {
        try state.withLock { state in
            guard !state.isFinished else {
                throw AppError(.internal, "The response is over; nothing more can be written to it.")
            }
            guard let left = state.remaining else { return }
            guard bytes <= left else { throw AppError(.internal, "The response's body is longer than announced.") }
            state.remaining = left - bytes
        }
    }

    /// - Throws: When fewer bytes were written than announced.
    func finish() throws {
        let left = state.withLock { state in
            state.isFinished = true
            return state.remaining ?? 0
        }
        if left > 0 { throw AppError(.internal, "The response's body is \(left) bytes shorter than announced.") }
    }
}
