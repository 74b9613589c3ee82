import ApusCore
import ApusHTTP
import GRPCCore
import HTTPTypes
import NIOCore
import Synchronization

/// Sends the response of a streaming call as the service produces it.
final class StreamedOutput: ClosableRPCWriterProtocol {
    typealias Element = RPCResponsePart<MessageBytes>

    private struct State {
        var hasHead = false
        var status: (status: Status, metadata: Metadata)?
    }

    private let writer: any ResponseBodyWriter
    private let head: CallHead
    private let call: GRPCCall
    private let state = Mutex(State())

    /// - Parameter writer: A `DeferredHeadWriter`; if a middleware has wrapped it, the initial metadata is lost.
    init(_ writer: any ResponseBodyWriter, _ head: CallHead, _ call: GRPCCall) {
        self.writer = writer
        self.head = head
        self.call = call
    }

    @concurrent
    func write(_ part: Element) async throws {
        switch part {
        case .metadata(let metadata): sendHead(head.answerFormat.head(metadata, encoding: head.accepted))
        case .message(let message):
            // A write that need not wait does not notice that the deadline has passed.
            try Task.checkCancellation()
            let encoding = call.compressesMessages ? head.accepted : .identity
            try await writer.write(head.answerFormat.encode(message.framed(encoding)))
        case .status(let status, let metadata): state.withLock { $0.status = (status, metadata) }
        }
    }

    @concurrent
    func write(contentsOf parts: some Sequence<Element>) async throws { for part in parts { try await write(part) } }

    @concurrent
    func finish() async {}

    @concurrent
    func finish(throwing error: any Error) async {}

    private func sendHead(_ fields: HTTPFields) {
        let isFirst = state.withLock { state in
            defer { state.hasHead = true }
            return !state.hasHead
        }
        if isFirst { (writer as? any DeferredHeadWriter)?.sendHead(exposing(fields)) }
    }

    /// Ends the call.
    /// - Parameters:
    ///   - error: An error from outside the service, such as an exceeded deadline.
    ///   - domain: The domain of error reasons.
    func end(_ error: (any Error)?, domain: String) async throws {
        let state = state.withLock { $0 }
        let failure = failure(state, error)
        let appError = failure.map { AppError(converting: $0) }
        call.request.context[CallStatus.self] = appError?.grpcCode ?? .ok
        if let failure {
            appError?.log(call.request)
            let status = GRPCStatus(failure, domain: domain, requestID: call.request.context.id)
            try await end(status.fields, hasHead: state.hasHead)
        } else {
            try await end(head.answerFormat.okTrailers(state.status?.metadata ?? [:]), hasHead: state.hasHead)
        }
    }

    private func failure(_ state: State, _ error: (any Error)?) -> (any Error)? {
        if let error { return error }
        guard let (status, metadata) = state.status else {
            return AppError(.internal, "The service returned no status.")
        }
        guard let error = RPCError(status: status, metadata: metadata) else { return nil }
        return call.error ?? error
    }

    private func end(_ fields: HTTPFields, hasHead: Bool) async throws {
        guard head.answerFormat == .grpc || !hasHead else {
            return try await writer.write(head.answerFormat.encode(WireFormat.trailerFrame(fields)))
        }
        // If the head has not been sent yet, they become part of it.
        writer.setTrailers(hasHead ? fields : exposing(fields))
    }

    /// Returns the fields of the head, which the page that made the call may read.
    private func exposing(_ fields: HTTPFields) -> HTTPFields {
        guard head.answerFormat != .grpc, let exposed = call.request.context[ExposedFields.self] else { return fields }
        return fields.exposing(besides: exposed)
    }
}

extension MessageBytes {
    /// Returns the message with its prefix, compressed if that makes it smaller.
    func framed(_ encoding: MessageEncoding) async throws -> ByteBuffer {
        guard encoding != .identity else { return framed() }
        let compressed = try await encoding.encode(bytes)
        return compressed.readableBytes < MessageBytes.prefixLength + count ? compressed : framed()
    }
}
