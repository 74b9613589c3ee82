import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix

/// A client that sends and receives frames, so that tests can violate the protocol.
struct HTTP2Client {
    let channel: any Channel
    private let frames: AsyncStream<HTTP2Frame>

    /// The received frames, for tests that read all of them themselves.
    var iterator: AsyncStream<HTTP2Frame>.Iterator { frames.makeAsyncIterator() }

    /// - Parameter addTLS: Adds TLS to the channel.
    static func connect(
        port: Int, settings: [HTTP2Setting] = nioDefaultSettings,
        _ addTLS: (@Sendable (any Channel) throws -> Void)? = nil
    ) async throws -> HTTP2Client {
        let (frames, continuation) = AsyncStream.makeStream(of: HTTP2Frame.self)
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try addTLS?(channel)
                    try channel.pipeline.syncOperations.addHandlers([
                        NIOHTTP2Handler(
                            mode: .client, initialSettings: settings, headerBlockValidation: .disabled,
                            contentLengthValidation: .disabled),
                        FrameCollector(continuation: continuation),
                    ])
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return HTTP2Client(channel: channel, frames: frames)
    }

    func send(_ stream: Int, _ payload: HTTP2Frame.FramePayload) async throws {
        try await channel.writeAndFlush(HTTP2Frame(streamID: HTTP2StreamID(stream), payload: payload))
    }

    func request(_ stream: Int, _ method: String, _ path: String, isEnd: Bool = true, _ fields: HPACKHeaders = [:])
        async throws
    {
        var headers: HPACKHeaders = [":method": method, ":scheme": "http", ":authority": "a", ":path": path]
        headers.add(contentsOf: fields)
        try await send(stream, .headers(.init(headers: headers, endStream: isEnd)))
    }

    func body(_ stream: Int, _ text: String, isEnd: Bool) async throws {
        try await send(stream, .data(.init(data: .byteBuffer(ByteBuffer(string: text)), endStream: isEnd)))
    }

    /// A complete response.
    struct Response: Equatable {
        var status = ""
        var body = ""
        var trailers: [String: String] = [:]
        var reset: HTTP2ErrorCode?
    }

    /// Reads frames until a stream ends, and returns its response.
    func response(_ stream: Int) async -> Response {
        var response = Response()
        for await frame in frames where frame.streamID == HTTP2StreamID(stream) {
            switch frame.payload {
            case .headers(let content):
                if let status = content.headers.first(name: ":status") {
                    response.status = status
                } else {
                    for (name, value, _) in content.headers { response.trailers[name] = value }
                }
                if content.endStream { return response }
            case .data(let content):
                if case .byteBuffer(let bytes) = content.data { response.body += String(buffer: bytes) }
                if content.endStream { return response }
            case .rstStream(let code):
                response.reset = code
                return response
            default: break
            }
        }
        return response
    }

    /// Keeps a number of requests in flight until the server sends GOAWAY, then waits for those that it has accepted.
    /// - Returns: The number of responses, and the streams of requests that were accepted but not answered.
    func load(
        _ path: String, inFlight: Int, progress: (Int) -> Void
    ) async -> (answered: Int, lost: Set<Int>) {
        var open: Set<Int> = []
        var next = 1
        var answered = 0
        var isStopping = false
        func start() async {
            // After GOAWAY, the frame handler rejects new requests.
            guard !isStopping, (try? await request(next, "GET", path)) != nil else { return }
            open.insert(next)
            next += 2
        }
        for _ in 0..<inFlight { await start() }
        for await frame in frames {
            switch frame.payload {
            case .data(let content) where content.endStream:
                guard open.remove(Int(frame.streamID)) != nil else { continue }
                answered += 1
                progress(answered)
                await start()
            case .goAway(let last, _, _):
                isStopping = true
                open = open.filter { $0 <= Int(last) }
            default: break
            }
        }
        return (answered, open)
    }

    func close() async throws { try await channel.close() }
}

private final class FrameCollector: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    let continuation: AsyncStream<HTTP2Frame>.Continuation

    init(continuation: AsyncStream<HTTP2Frame>.Continuation) { self.continuation = continuation }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) { continuation.finish() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}
