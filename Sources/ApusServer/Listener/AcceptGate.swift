import ApusCore
import Logging
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Stops accepting while the server has as many connections as it may, or the system has no file descriptor left. What
/// comes then waits in the system's queue and is served when there is room.
///
/// `@unchecked Sendable`: the stored properties are touched on the listening channel's event loop alone.
final class AcceptGate: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel
    typealias OutboundIn = Never

    private let core: ServerCore
    private var context: ChannelHandlerContext?
    /// Accepted, but one too many: the first ones to be served.
    private var held: [any Channel] = []
    private var isBackingOff = false
    private var wantsToRead = false
    private var acceptsMany = true

    /// By default four connections are accepted a turn of the loop, which is too slow for a burst.
    static let mostPerTurn: UInt = 256

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
        if held.isEmpty, core.connectionOpened() {
            context.fireChannelRead(data)
        } else {
            held.append(unwrapInboundIn(data))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        // Near the limit one at a time, so that hardly one is held.
        let hasRoom = core.room >= 4 * Int(Self.mostPerTurn)
        if hasRoom != acceptsMany {
            acceptsMany = hasRoom
            let perTurn: UInt = hasRoom ? Self.mostPerTurn : 1
            try? context.channel.syncOptions?.setOption(.maxMessagesPerRead, value: perTurn)
        }
        if !held.isEmpty { core.whenThereIsRoom(self) }
    }

    /// There is room, or was a moment ago.
    func roomIsLeft() { context?.eventLoop.execute { self.admitHeld() } }

    private func admitHeld() {
        guard let context else { return }
        var admitted = 0
        while admitted < held.count, core.connectionOpened() {
            context.fireChannelRead(NIOAny(held[admitted]))
            admitted += 1
        }
        held.removeFirst(admitted)
        held.isEmpty ? readIfWanted() : core.whenThereIsRoom(self)
    }

    private func readIfWanted() {
        guard let context, wantsToRead, held.isEmpty, !isBackingOff else { return }
        wantsToRead = false
        context.read()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) else { return }
        guard !isBackingOff else { return }
        core.logger.warning(
            "No connection can be accepted for lack of resources; trying again in a second.",
            metadata: ["error": "\(error)"])
        isBackingOff = true
        context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) {
            self.isBackingOff = false
            self.readIfWanted()
        }
    }
}
