import ApusCore
import Logging
import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Stops accepting connections while the server is at its limit of connections or the system has no file descriptors
/// left. Further connections wait in the system's accept queue until there is room.
///
/// `@unchecked Sendable`: the stored properties are accessed only on the event loop of the listening channel.
final class AcceptGate: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel
    typealias OutboundIn = Never

    private let core: ServerCore
    private var context: ChannelHandlerContext?
    /// Connections that were accepted beyond the limit. They are served first.
    private var held: [any Channel] = []
    private var isBackingOff = false
    private var wantsToRead = false
    private var acceptsMany = true

    /// The maximum number of connections accepted in one iteration of the loop. The default of 4 is too slow for
    /// bursts.
    static let maximumPerRead: UInt = 256

    init(_ core: ServerCore) { self.core = core }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        for channel in held { channel.close(promise: nil) }
        held = []
    }

    func read(context: ChannelHandlerContext) {
        wantsToRead = !held.isEmpty || isBackingOff
        if !wantsToRead { context.read() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if held.isEmpty, core.admitConnection() {
            context.fireChannelRead(data)
        } else {
            held.append(unwrapInboundIn(data))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // Near the limit, connections are accepted one at a time, so that few have to be held.
        let hasRoom = core.room >= 4 * Int(Self.maximumPerRead)
        if hasRoom != acceptsMany {
            acceptsMany = hasRoom
            let perRead: UInt = hasRoom ? Self.maximumPerRead : 1
            try? context.channel.syncOptions?.setOption(.maxMessagesPerRead, value: perRead)
        }
        if !held.isEmpty { core.notifyWhenRoomIsAvailable(self) }
    }

    /// Called when there was room for a connection. It may have been taken since.
    func roomBecameAvailable() { context?.eventLoop.execute { self.admitHeld() } }

    private func admitHeld() {
        guard let context else { return }
        var admitted = 0
        while admitted < held.count, core.admitConnection() {
            context.fireChannelRead(NIOAny(held[admitted]))
            admitted += 1
        }
        held.removeFirst(admitted)
        held.isEmpty ? readIfWanted() : core.notifyWhenRoomIsAvailable(self)
    }

    private func readIfWanted() {
        guard let context, wantsToRead, held.isEmpty, !isBackingOff else { return }
        wantsToRead = false
        context.read()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch AcceptFailure(error) {
        case .exhaustion: backOff(context, error)
        case .lostConnection:
            core.logger.debug("A connection ended before it was accepted.", metadata: ["error": "\(error)"])
        case .lostListener:
            core.logger.error(
                "A listening socket has failed and accepts no more connections.", metadata: ["error": "\(error)"])
        }
    }

    /// Accepts no connections for a second.
    private func backOff(_ context: ChannelHandlerContext, _ error: any Error) {
        guard !isBackingOff else { return }
        core.logger.warning(
            "Cannot accept connections: file descriptors or memory are exhausted. Retrying in one second.",
            metadata: ["error": "\(error)"])
        isBackingOff = true
        context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) {
            self.isBackingOff = false
            self.readIfWanted()
        }
    }
}

/// What an error of a listening socket means.
enum AcceptFailure {
    /// No file descriptors or no memory are left for a connection.
    case exhaustion
    /// The connection was closed, usually by the client, before it was accepted.
    case lostConnection
    /// The system reports any other error. The channel closes itself.
    case lostListener

    init(_ error: any Error) {
        // Some systems report the end of a connection only when its socket is configured.
        guard !(error is NIOFcntlFailedError) else {
            self = .lostConnection
            return
        }
        switch (error as? IOError)?.errnoCode {
        case EMFILE?, ENFILE?, ENOBUFS?, ENOMEM?: self = .exhaustion
        case ECONNABORTED?: self = .lostConnection
        default: self = .lostListener
        }
    }
}
