import NIOCore

/// Rejects clients that offer only application protocols that the server does not speak, with the alert
/// `no_application_protocol` (RFC 7301 §3.2). Then it removes itself from the pipeline.
///
/// NIOSSL would complete the handshake without a protocol, as if the client had offered none. So this handler precedes
/// it and reads the ClientHello, which is not encrypted.
final class ApplicationProtocolGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The protocols that the server speaks, in the order of its preference.
    static let supported = ["h2", "http/1.1"]

    /// A fatal alert (RFC 8446 §6) in a record of its own.
    private static let alert: [UInt8] = [21, 3, 3, 0, 2, 2, 120]

    private var received = ByteBuffer()
    private var hasRejected = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !hasRejected else { return }
        received.writeImmutableBuffer(unwrapInboundIn(data))
        switch ClientHello.read(received) {
        case .incomplete: break
        case .offer(let names?) where !names.contains(where: Self.isSupported): reject(context)
        // An unreadable message is for TLS to reject.
        case .offer, .unreadable: makeWay(context)
        }
    }

    private static func isSupported(_ name: [UInt8]) -> Bool { supported.contains { $0.utf8.elementsEqual(name) } }

    private func reject(_ context: ChannelHandlerContext) {
        hasRejected = true
        received = ByteBuffer()
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: Self.alert)), promise: nil)
        context.close(promise: nil)
    }

    private func makeWay(_ context: ChannelHandlerContext) {
        let bytes = received
        received = ByteBuffer()
        context.fireChannelRead(wrapInboundOut(bytes))
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }
}
