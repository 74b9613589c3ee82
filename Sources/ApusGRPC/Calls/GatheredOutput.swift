import ApusCore
import GRPCCore
import Synchronization

/// What a call with one message answers, gathered so that it goes out in one piece.
final class GatheredOutput: ClosableRPCWriterProtocol {
    typealias Element = RPCResponsePart<MessageBytes>

    private struct State {
        var metadata = Metadata()
        var message: MessageBytes?
        var status: (status: Status, metadata: Metadata)?
    }

    private let state = Mutex(State())

    @concurrent
    func write(_ part: Element) async throws {
        state.withLock { state in
            switch part {
            case .metadata(let metadata): state.metadata = metadata
            case .message(let message): state.message = message
            case .status(let status, let metadata): state.status = (status, metadata)
            }
        }
    }

    @concurrent
    func write(contentsOf parts: some Sequence<Element>) async throws { for part in parts { try await write(part) } }

    @concurrent
    func finish() async {}

    @concurrent
    func finish(throwing error: any Error) async {}

    /// - Parameter noted: The error that ended the call, where one is known.
    /// - Throws: An `AppError` for a call that did not go well.
    func reply(_ noted: (any Error)?) throws -> UnaryReply {
        let state = state.withLock { $0 }
        guard let (status, trailing) = state.status else { throw AppError(.internal, "The call has no status.") }
        if let error = RPCError(status: status, metadata: trailing) { throw noted ?? error }
        guard let message = state.message else { throw AppError(.internal, "The call has no message to answer.") }
        return UnaryReply(message: message, metadata: state.metadata, trailingMetadata: trailing)
    }
}
