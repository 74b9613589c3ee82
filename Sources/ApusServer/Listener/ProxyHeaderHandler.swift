import ApusCore
import NIOCore

/// Reads the PROXY header at the beginning of a connection, then removes itself from the pipeline.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let connection: HTTP1Connection
    private var buffer = ByteBuffer()

    init(_ connection: HTTP1Connection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        buffer.writeBuffer(&bytes)
        switch ProxyHeader.read(from: &buffer) {
        case .incomplete: break
        case .malformed: context.close(promise: nil)
        case .client(let address):
            connection.receivedProxyHeader(clientAddress: address?.description)
            let rest = buffer
            buffer = ByteBuffer()
            if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        }
    }
}
