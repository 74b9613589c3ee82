import NIOCore
import NIOSSL

/// An open connection of either protocol, as seen by its event loop. All methods must be called on the event loop.
protocol Connection: AnyObject, Sendable {
    /// Checks the timeouts.
    func tick(now: NIODeadline, elapsed: TimeAmount)
    /// Begins shutdown: an idle connection closes immediately, any other after its last response.
    func drain()
    /// Notifies the upgraded connection, or the upgraded streams of the connection, that the server is shutting down.
    /// - Returns: The number of upgraded connections or streams that were notified.
    func drainUpgraded() -> Int
    /// The context of the connection's handler in the pipeline of its channel; `nil` when the channel is closed.
    var channelContext: ChannelHandlerContext? { get }
}

extension Connection {
    /// Closes the connection and discards unsent bytes. Over TLS, the channel is closed when the peer has answered the
    /// `close_notify`, or has not for a while.
    func abort() { channelContext?.close(promise: nil) }

    /// Closes the channel before this function returns, over TLS without a `close_notify`.
    func closeChannel() {
        guard let channelContext else { return }
        // What this handler closes goes through the handlers of TLS. What that handler closes does not.
        let tls = try? channelContext.pipeline.syncOperations.context(handlerType: NIOSSLServerHandler.self)
        (tls ?? channelContext).close(promise: nil)
    }
}
