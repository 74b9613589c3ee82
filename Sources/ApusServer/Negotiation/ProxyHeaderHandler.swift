import ApusCore
import NIOCore

/// Reads the PROXY header at the beginning of a connection and reports it with the event ``HeaderReceived``, then
/// removes itself from the pipeline.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The inbound event that the header has been received. It precedes all bytes of the connection.
    struct HeaderReceived: Sendable {
        /// The address of the client; `nil` for the load balancer's own connections.
        let clientAddress: IPAddress?
    }

    private var buffer = ByteBuffer()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        buffer.writeBuffer(&bytes)
        switch ProxyHeader.read(from: &buffer) {
        case .incomplete: break
        case .malformed: context.close(promise: nil)
        case .client(let address):
            context.fireUserInboundEventTriggered(HeaderReceived(clientAddress: address))
            let rest = buffer
            buffer = ByteBuffer()
            if rest.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(rest)) }
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        }
    }
}
