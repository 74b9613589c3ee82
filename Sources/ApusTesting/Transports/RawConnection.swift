public import NIOCore
import NIOPosix

/// A raw TCP connection to a server under test, for sending bytes that a well-behaved client would never send.
public final class RawConnection: TestConnection {
    private let channel: any Channel
    private let inbound: ByteQueue

    private init(_ channel: any Channel, _ inbound: ByteQueue) {
        self.channel = channel
        self.inbound = inbound
    }

    /// Connects to a local port.
    public static func connect(port: Int) async throws -> RawConnection {
        try await connect(SocketAddress(ipAddress: "127.0.0.1", port: port))
    }

    /// Connects to an address.
    /// - Parameter prepare: Adds channel handlers between the socket and the connection, such as TLS.
    package static func connect(
        _ address: SocketAddress, prepare: @escaping @Sendable (any Channel) throws -> Void = { _ in }
    ) async throws -> RawConnection {
        let inbound = ByteQueue()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try prepare(channel)
                    try channel.pipeline.syncOperations.addHandler(ByteCollector(inbound))
                }
            }
            .connect(to: address).get()
        return RawConnection(channel, inbound)
    }

    /// Returns the next bytes, or `nil` once the server has closed.
    public func read() async throws -> ByteBuffer? { try await inbound.next() }

    /// Sends bytes.
    public func write(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

    /// Sends text.
    public func write(_ text: String) async throws { try await write(ByteBuffer(string: text)) }

    /// Returns everything received until the server closes, as text.
    public func readToEnd() async throws -> String {
        var all = ByteBuffer()
        while let bytes = try await read() { all.writeImmutableBuffer(bytes) }
        return String(buffer: all)
    }

    /// Returns everything received until the given text has arrived or the server has closed.
    public func read(until mark: String) async throws -> String {
        var text = ""
        while !text.contains(mark), let bytes = try await read() { text += String(buffer: bytes) }
        return text
    }

    /// Stops reading from the socket, like a client that does not keep up.
    public func pauseReading() async throws { try await channel.setOption(.autoRead, value: false).get() }

    /// Resumes reading from the socket.
    public func resumeReading() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// Closes the sending direction only.
    public func closeOutput() async throws { try await channel.close(mode: .output) }

    /// Closes the connection.
    public func close() { channel.close(promise: nil) }
}

private final class ByteCollector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let queue: ByteQueue

    init(_ queue: ByteQueue) { self.queue = queue }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { queue.push(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { queue.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
