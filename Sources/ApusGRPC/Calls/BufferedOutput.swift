import ApusCore
import GRPCCore
import Synchronization

/// Buffers the response of a unary call, so that it can be sent at once.
final class BufferedOutput: ClosableRPCWriterProtocol {
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

    /// Returns the complete response.
    /// - Parameter recordedError: The error that the service threw, if any.
    /// - Throws: The error of a failed call: `recordedError` if there is one.
    func reply(_ recordedError: (any Error)?) throws -> UnaryReply {
        let state = state.withLock { $0 }
        guard let (status, trailing) = state.status else {
            throw AppError(.internal, "The service returned no status.")
        }
        if let error = RPCError(status: status, metadata: trailing) { throw recordedError ?? error }
        guard let message = state.message else { throw AppError(.internal, "The service returned no message.") }
        return UnaryReply(message: message, metadata: state.metadata, trailingMetadata: trailing)
    }
}
