import Apus
import NIOCore
import NIOHTTP1
import NIOPosix

/// A transport that connects through a socket. It uses NIO's HTTP client codec, which is independent of the
/// implementation under test.
struct SocketTransport: TestTransport {
    let port: Int

    func send(
        _ method: HTTPRequest.Method, _ target: String, _ headers: HTTPFields, _ body: ByteBuffer?
    ) async throws -> ClientResponse {
        let promise = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: ClientResponse.self)
        let connecting = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(ResponseCollector(promise))
                }
            }
            .connect(host: "127.0.0.1", port: port)
        connecting.whenFailure { promise.fail($0) }
        let channel = try await connecting.get()
        var fields = HTTPHeaders(headers.map { ($0.name.rawName, $0.value) })
        fields.replaceOrAdd(name: "Host", value: "127.0.0.1:\(port)")
        fields.replaceOrAdd(name: "Connection", value: "close")
        if let body { fields.replaceOrAdd(name: "Content-Length", value: "\(body.readableBytes)") }
        let head = HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: method.rawValue), uri: target, headers: fields)
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if let body { channel.write(HTTPClientRequestPart.body(.byteBuffer(body)), promise: nil) }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        let response = try await promise.futureResult.get()
        channel.close(promise: nil)
        return response
    }

    func upgrade(_ target: String, _ headers: HTTPFields) async throws -> (ClientResponse, (any TestConnection)?) {
        let connection = try await RawConnection.connect(port: port)
        let fields = headers.map { "\($0.name.rawName): \($0.value)\r\n" }.joined()
        try await connection.write("GET \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n\(fields)\r\n")
        var bytes = ByteBuffer()
        while true {
            let text = String(buffer: bytes)
            if let end = Self.endOfHead(in: text) {
                bytes.moveReaderIndex(forwardBy: text.prefix(upTo: end).utf8.count)
                return try await upgradeResponse(String(text[..<end]), rest: bytes, connection)
            }
            guard let more = try await connection.read() else { throw ChannelError.eof }
            bytes.writeImmutableBuffer(more)
        }
    }

    private static func endOfHead(in text: String) -> String.Index? {
        var iterator = text.startIndex
        while iterator < text.endIndex {
            // "\r\n" is a single Character in Swift, so an empty line is two of them in a row.
            let next = text.index(after: iterator)
            if text[iterator] == "\r\n", next < text.endIndex, text[next] == "\r\n" { return text.index(after: next) }
            iterator = next
        }
        return nil
    }

    private func upgradeResponse(
        _ head: String, rest: ByteBuffer, _ connection: RawConnection
    ) async throws -> (ClientResponse, (any TestConnection)?) {
        let lines = head.split(separator: "\r\n")
        let code = Int(lines.first?.split(separator: " ").dropFirst().first ?? "") ?? 0
        var fields = HTTPFields()
        for line in lines.dropFirst() {
            guard let (before, after) = line.cut(at: ":"), let name = HTTPField.Name(String(before)) else { continue }
            fields.append(HTTPField(name: name, value: String(after.trimmed)))
        }
        let status = HTTPResponse.Status(code: code)
        if code == 101 {
            let head = ClientResponse(status: status, headers: fields, body: ByteBuffer())
            return (head, PrefixedConnection(rest, connection))
        }
        var body = rest
        let length = fields[.contentLength].flatMap(Int.init) ?? 0
        while body.readableBytes < length, let more = try await connection.read() { body.writeImmutableBuffer(more) }
        connection.close()
        return (ClientResponse(status: status, headers: fields, body: body), nil)
    }
}

/// A connection from which some bytes have already been read.
private struct PrefixedConnection: TestConnection {
    private let prefix: ByteQueue
    private let connection: RawConnection

    init(_ bytes: ByteBuffer, _ connection: RawConnection) {
        prefix = ByteQueue()
        if bytes.readableBytes > 0 { prefix.push(bytes) }
        prefix.finish()
        self.connection = connection
    }

    func read() async throws -> ByteBuffer? {
        if let bytes = try await prefix.next() { return bytes }
        return try await connection.read()
    }
    func write(_ bytes: ByteBuffer) async throws { try await connection.write(bytes) }
    func close() { connection.close() }
}

private final class ResponseCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<ClientResponse>
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()

    init(_ promise: EventLoopPromise<ClientResponse>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(let bytes): body.writeImmutableBuffer(bytes)
        case .end(let trailers): finish(trailers)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(ChannelError.eof) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    private func finish(_ trailers: HTTPHeaders?) {
        guard let head else { return promise.fail(ChannelError.eof) }
        let status = HTTPResponse.Status(code: Int(head.status.code), reasonPhrase: head.status.reasonPhrase)
        promise.succeed(
            ClientResponse(
                status: status, headers: Self.fields(head.headers), body: body,
                trailers: trailers.map(Self.fields) ?? [:]))
    }

    private static func fields(_ headers: HTTPHeaders) -> HTTPFields {
        var fields = HTTPFields()
        for (name, value) in headers {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        return fields
    }
}
