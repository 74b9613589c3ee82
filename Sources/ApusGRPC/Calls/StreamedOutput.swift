import ApusCore
import ApusHTTP
import GRPCCore
import HTTPTypes
import NIOCore
import Synchronization

/// What a call answers, sent as it is made.
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

    /// - Parameter writer: One that defers its head, unless a middleware wrapped it: the metadata before the messages is lost then.
    init(_ writer: any ResponseBodyWriter, _ head: CallHead, _ call: GRPCCall) {
        self.writer = writer
        self.head = head
        self.call = call
    }

    @concurrent
    func write(_ part: Element) async throws {
        switch part {
        case .metadata(let metadata): sendHead(head.format.head(metadata, encoding: head.accepted))
        case .message(let message):
            let encoding = call.compressesMessages ? head.accepted : .identity
            try await writer.write(head.format.piece(message.framed(encoding)))
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
        if isFirst { (writer as? any DeferredHeadWriter)?.sendHead(fields) }
    }

    /// Ends the call.
    /// - Parameters:
    ///   - error: What ended it from outside, such as its deadline.
    ///   - domain: Who gives errors their reasons.
    func end(_ error: (any Error)?, domain: String) async throws {
        let state = state.withLock { $0 }
        let failure = failure(state, error)
        let known = failure.map { AppError(anyOf: $0) }
        call.request.context[CallStatus.self] = known?.grpcCode ?? .ok
        if let failure {
            known?.log(call.request)
            let status = GRPCStatus(failure, domain: domain, requestID: call.request.context.id)
            try await end(status.fields, hasHead: state.hasHead)
        } else {
            try await end(head.format.ok(state.status?.metadata ?? [:]), hasHead: state.hasHead)
        }
    }

    private func failure(_ state: State, _ error: (any Error)?) -> (any Error)? {
        if let error { return error }
        guard let (status, metadata) = state.status else { return AppError(.internal, "The call has no status.") }
        guard let error = RPCError(status: status, metadata: metadata) else { return nil }
        return call.error ?? error
    }

    private func end(_ fields: HTTPFields, hasHead: Bool) async throws {
        guard head.format == .grpc || !hasHead else {
            return try await writer.write(head.format.piece(WireFormat.message(of: fields)))
        }
        // Where no head went out, they are part of it.
        writer.setTrailers(fields)
    }
}

extension MessageBytes {
    /// With its prefix, and compressed where that is worth it.
    func framed(_ encoding: MessageEncoding) async throws -> ByteBuffer {
        guard encoding != .identity else { return framed() }
        let compressed = try await encoding.encode(bytes)
        return compressed.readableBytes < MessageBytes.prefixLength + count ? compressed : framed()
    }
}
