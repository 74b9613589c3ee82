import ApusCore
import ApusHTTP
import NIOCore
import NIOSSL
import NIOTLS

/// Learns who the peer of a new connection is and which version of HTTP it speaks, then makes way for the handler of
/// that version.
///
/// `@unchecked Sendable`: every stored property is accessed only on the channel's event loop.
final class ProtocolNegotiationHandler: ChannelInboundHandler, RemovableChannelHandler, Connection,
    @unchecked Sendable
{
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let core: ServerCore
    private let loop: LoopState
    private var peer: Peer
    private var selector: ProtocolSelector
    private(set) var channelContext: ChannelHandlerContext?
    private var isInRead = false

    /// - Parameters:
    ///   - peer: The peer, as far as it is known when the connection is accepted.
    ///   - awaitsProxyHeader: Whether a ``ProxyHeaderHandler`` precedes this handler.
    init(core: ServerCore, loop: LoopState, peer: Peer, awaitsProxyHeader: Bool) {
        self.core = core
        self.loop = loop
        self.peer = peer
        selector = ProtocolSelector(
            limits: core.limits, awaitsProxyHeader: awaitsProxyHeader, isEncrypted: peer.isSecure, now: .now())
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        channelContext = context
        loop.add(self)
    }

    /// Also called for a channel that never became active and therefore never becomes inactive.
    func handlerRemoved(context: ChannelHandlerContext) {
        unregister()
        channelContext = nil
    }

    /// Ends the count of the connection, unless another handler has taken over.
    private func unregister() {
        if loop.remove(self) { core.connectionClosed() }
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        if core.isDraining { drain() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isInRead = true
        perform(selector.received(unwrapInboundIn(data), now: .now()))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInRead = false
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let header = event as? ProxyHeaderHandler.HeaderReceived {
            if let address = header.clientAddress { peer.address = address.description }
            perform(selector.receivedProxyHeader(now: .now()))
        } else if case .some(.handshakeCompleted(let negotiatedProtocol)) = event as? TLSUserEvent {
            if let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate() {
                peer.certificate = PeerCertificate(certificate)
            }
            perform(selector.completedHandshake(negotiatedProtocol: negotiatedProtocol, now: .now()))
        } else if case .some(.inputClosed) = event as? ChannelEvent {
            perform(selector.inputClosed())
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        unregister()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    // MARK: Timeouts and shutdown

    func tick(now: NIODeadline, elapsed: TimeAmount) { perform(selector.tick(now: now)) }

    func drain() { perform(selector.drain(now: .now())) }

    func drainUpgraded() -> Int { 0 }

    // MARK: Actions

    private func perform(_ action: ProtocolSelector.Action) {
        switch action {
        case .wait: break
        case .http1(let bytes, let headSince):
            makeWay(passingOn: bytes) { pipeline in
                try pipeline.addHandler(HTTP1Connection(core: core, loop: loop, peer: peer, headSince: headSince))
            }
        case .http2(let bytes):
            makeWay(passingOn: bytes) { pipeline in
                try HTTP2Connection.add(to: pipeline, core: core, loop: loop, peer: peer)
            }
        case .close: abort()
        }
    }

    /// Replaces this handler in the pipeline. The new handler takes over the count of the connection, which it ends when
    /// the connection closes.
    /// - Parameters:
    ///   - bytes: The bytes that have been received.
    ///   - add: Adds the new handler to the end of the pipeline.
    private func makeWay(
        passingOn bytes: ByteBuffer, to add: (ChannelPipeline.SynchronousOperations) throws -> Void
    ) {
        guard let context = channelContext, loop.remove(self) else { return }
        let pipeline = context.pipeline.syncOperations
        do {
            try add(pipeline)
        } catch {
            core.connectionClosed()
            return context.close(promise: nil)
        }
        if bytes.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(bytes))
            // Within a read, its end reaches the new handler by itself, because this one has been removed by then.
            if !isInRead { context.fireChannelReadComplete() }
        }
        pipeline.removeHandler(context: context, promise: nil)
    }
}
