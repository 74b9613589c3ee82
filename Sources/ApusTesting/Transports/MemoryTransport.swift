import Apus
import ApusHTTP
import Logging
import NIOCore
import Synchronization

/// A transport that calls the app's handler directly, without sockets and HTTP parsing.
struct MemoryTransport: TestTransport {
    let handler: Handler
    let logger: Logger

    func send(
        _ method: HTTPRequest.Method, _ target: String, _ headers: HTTPFields, _ body: ByteBuffer?
    ) async throws -> ClientResponse {
        let request = Request(
            method: method, target: target, headers: RequestHeaders(headers),
            body: body.map { RequestBody($0) } ?? .empty, context: RequestContext(logger: logger))
        return try await collect(handler(request), isHead: method == .head)
    }

    func upgrade(_ target: String, _ headers: HTTPFields) async throws -> (ClientResponse, (any TestConnection)?) {
        let request = Request(
            method: .get, target: target, headers: RequestHeaders(headers), context: RequestContext(logger: logger))
        let response = try await handler(request)
        guard let upgrade = response.upgrade else { return (try await collect(response, isHead: false), nil) }
        let toServer = ByteQueue()
        let toClient = ByteQueue()
        let task = Task {
            await upgrade.run(MemoryStream(inbound: toServer, outbound: toClient))
            toClient.finish()
        }
        let head = ClientResponse(status: response.status, headers: response.headers, body: ByteBuffer())
        return (head, MemoryConnection(inbound: toClient, outbound: toServer, task: task))
    }

    private func collect(_ response: Response, isHead: Bool) async throws -> ClientResponse {
        guard !isHead, case .stream(_, let produce) = response.body else {
            return ClientResponse(
                status: response.status, headers: response.headers,
                body: isHead ? ByteBuffer() : response.body.buffer ?? ByteBuffer(), trailers: response.trailers ?? [:])
        }
        let writer = CollectingWriter()
        try await produce(writer)
        return writer.response(response)
    }
}

private final class CollectingWriter: DeferredHeadWriter {
    private struct State {
        var head: HTTPFields?
        var bytes = ByteBuffer()
        var trailers = HTTPFields()
    }

    private let state = Mutex(State())

    func sendHead(_ fields: HTTPFields) { state.withLock { $0.head = $0.head ?? fields } }

    func write(_ more: ByteBuffer) {
        state.withLock {
            $0.head = $0.head ?? [:]
            $0.bytes.writeImmutableBuffer(more)
        }
    }

    func setTrailers(_ trailers: HTTPFields) { state.withLock { $0.trailers = trailers } }

    func response(_ response: Response) -> ClientResponse {
        let state = state.withLock { $0 }
        let hasSentHead = state.head != nil || !response.defersHead
        return ClientResponse(
            status: response.status, headers: response.adding(hasSentHead ? state.head ?? [:] : state.trailers).headers,
            body: state.bytes, trailers: hasSentHead ? state.trailers : [:])
    }
}

private struct MemoryStream: ByteStream {
    let inbound: ByteQueue
    let outbound: ByteQueue

    func read() async throws -> ByteBuffer? { try await inbound.next() }
    func write(_ bytes: ByteBuffer) { outbound.push(bytes) }
    func close() {
        inbound.finish()
        outbound.finish()
    }
    var hasUnreadBytes: Bool { false }
    func onDrain(_ action: @escaping @Sendable () -> Void) {}
}

private struct MemoryConnection: TestConnection {
    let inbound: ByteQueue
    let outbound: ByteQueue
    let task: Task<Void, Never>

    func read() async throws -> ByteBuffer? { try await inbound.next() }
    func write(_ bytes: ByteBuffer) { outbound.push(bytes) }
    func close() { outbound.finish() }
}
