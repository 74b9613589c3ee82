import Apus
import ApusHTTP
import NIOCore
import Synchronization

/// Calls the app's handler directly: everything but sockets and parsing.
struct MemoryTransport: TestTransport {
    let handler: Handler

    func send(
        _ method: HTTPRequest.Method, _ target: String, _ headers: HTTPFields, _ body: ByteBuffer?
    ) async throws -> ClientResponse {
        let request = Request(
            method: method, target: target, headers: RequestHeaders(headers),
            body: body.map { RequestBody($0) } ?? .empty)
        return try await collect(handler(request), isHead: method == .head)
    }

    func upgrade(_ target: String, _ headers: HTTPFields) async throws -> (ClientResponse, (any TestConnection)?) {
        let response = try await handler(Request(method: .get, target: target, headers: RequestHeaders(headers)))
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
        var body = ByteBuffer()
        if !isHead {
            if case .stream(_, let produce) = response.body {
                let writer = CollectingWriter()
                try await produce(writer)
                body = writer.bytes.withLock { $0 }
            } else {
                body = response.body.buffer ?? body
            }
        }
        return ClientResponse(status: response.status, headers: response.headers, body: body)
    }
}

private final class CollectingWriter: ResponseBodyWriter {
    let bytes = Mutex(ByteBuffer())

    func write(_ more: ByteBuffer) { bytes.withLock { _ = $0.writeImmutableBuffer(more) } }

    func setTrailers(_ trailers: HTTPFields) {}
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
