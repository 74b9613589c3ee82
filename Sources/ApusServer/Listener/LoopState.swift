import FoundationEssentials
import NIOCore

/// What the connections of one event loop share: their list, their clock, the date.
///
/// `@unchecked Sendable`: the mutable properties are touched on the event loop alone.
final class LoopState: @unchecked Sendable {
    let eventLoop: any EventLoop
    let executor: EventLoopExecutor
    private var connections: [ObjectIdentifier: ConnectionHandler] = [:]
    private var httpDate = HTTPDate()
    private var ticker: RepeatedTask?
    private var lastTick = NIODeadline.now()

    /// How often the clocks of the connections are looked at.
    private static let tickInterval = TimeAmount.milliseconds(250)

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        executor = EventLoopExecutor(eventLoop)
    }

    /// One timer for all connections of the loop: a timer for each request would cost more than the request.
    func startTicking() {
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: Self.tickInterval, delay: Self.tickInterval) { _ in
            let now = NIODeadline.now()
            let elapsed = now - self.lastTick
            self.lastTick = now
            for connection in self.connections.values { connection.tick(now: now, elapsed: elapsed) }
        }
    }

    func stopTicking() { ticker?.cancel() }

    func add(_ connection: ConnectionHandler) { connections[ObjectIdentifier(connection)] = connection }

    func remove(_ connection: ConnectionHandler) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        connection.core.connectionClosed()
    }

    var all: [ConnectionHandler] { Array(connections.values) }

    func date() -> String { httpDate.text(at: Date()) }
}
