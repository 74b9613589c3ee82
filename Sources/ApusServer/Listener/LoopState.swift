import ApusCore
import ApusHTTP
import FoundationEssentials
import NIOCore
import ServiceContextModule

/// The state that the connections of one event loop share: their list, their timer, the date and a write buffer.
///
/// `@unchecked Sendable`: the mutable properties are accessed only on the event loop. No access overlaps with another,
/// so exclusivity checks are disabled where every request would pay for them.
final class LoopState: @unchecked Sendable {
    let eventLoop: any EventLoop
    let executor: EventLoopExecutor
    let core: ServerCore
    private var connections: [ObjectIdentifier: any Connection] = [:]
    private var ticker: RepeatedTask?
    private var lastTick = NIODeadline.now()
    private var second = -1
    /// The `Date` field with its line ending, accurate to one tick.
    @exclusivity(unchecked) private(set) var dateLine: [UInt8] = []
    /// The value of the `Date` field.
    @exclusivity(unchecked) private(set) var date = ""
    /// The service context of new requests, with their deadline. Requests that begin in the same tick share it.
    @exclusivity(unchecked) private(set) var requestContext = (value: ServiceContext.topLevel, tick: 0)
    /// Reusable memory for parsing the fields of HTTP/2 requests.
    @exclusivity(unchecked) var fieldTable = FieldTable()
    @exclusivity(unchecked) private var spareBuffer: ByteBuffer?
    @exclusivity(unchecked) private var idleWorkers: [RequestWorker] = []

    /// How often the timeouts of the connections are checked.
    private static let tickInterval = Duration.milliseconds(250)

    init(_ eventLoop: any EventLoop, core: ServerCore) {
        self.eventLoop = eventLoop
        self.core = core
        executor = EventLoopExecutor(eventLoop)
        refresh()
    }

    /// Starts one timer for all connections of the loop. A timer per request would cost more than the request.
    func startTicking() {
        let interval = TimeAmount(Self.tickInterval)
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            let now = NIODeadline.now()
            let elapsed = now - self.lastTick
            self.lastTick = now
            self.refresh()
            for connection in self.connections.values { connection.tick(now: now, elapsed: elapsed) }
        }
    }

    func stopTicking() { ticker?.cancel() }

    private func refresh() {
        var context = ServiceContext.topLevel
        // The deadline may be up to a tick early but not late: it must have passed when the handler is cancelled.
        context.lower(deadline: .after(core.limits.requestDeadline))
        requestContext = (context, requestContext.tick + 1)
        let now = Int(Date().timeIntervalSince1970)
        guard now != second else { return }
        second = now
        date = HTTPDate.format(secondsSince1970: now)
        dateLine = Array("Date: \(date)\r\n".utf8)
    }

    func add(_ connection: any Connection) { connections[ObjectIdentifier(connection)] = connection }

    /// Removes a connection.
    /// - Returns: Whether it was present.
    @discardableResult
    func remove(_ connection: any Connection) -> Bool {
        connections.removeValue(forKey: ObjectIdentifier(connection)) != nil
    }

    var allConnections: [any Connection] { Array(connections.values) }

    // MARK: Workers

    /// The maximum number of idle workers.
    private static let maximumIdleWorkers = 64

    /// Starts handling a request.
    /// - Returns: The worker, which can cancel the request.
    func start(_ request: Request, of owner: any RequestWorker.Owner) -> RequestWorker {
        let worker = idleWorkers.popLast() ?? RequestWorker(self)
        worker.start(request, of: owner)
        return worker
    }

    /// Keeps a worker that has finished its request for another one, unless there are enough.
    /// - Returns: Whether the worker is kept.
    func park(_ worker: RequestWorker) -> Bool {
        guard !executor.hasShutDown, idleWorkers.count < Self.maximumIdleWorkers else { return false }
        idleWorkers.append(worker)
        return true
    }

    /// Ends the idle workers, because the event loop is about to end.
    func endWorkers() {
        let workers = idleWorkers
        idleWorkers = []
        for worker in workers { worker.end() }
    }

    // MARK: Buffers

    /// The maximum capacity of a buffer that is kept.
    private static let maximumSpareCapacity = 64 << 10

    /// Returns an empty buffer: that of the previous write, if it has been sent completely.
    func takeBuffer() -> ByteBuffer {
        guard var buffer = spareBuffer.take() else { return ByteBufferAllocator().buffer(capacity: 4096) }
        buffer.clear(minimumCapacity: 512)
        return buffer
    }

    /// Keeps a buffer for reuse that was passed to the channel. If the channel still needs it, reusing it makes a copy.
    func recycle(_ buffer: ByteBuffer) {
        if buffer.capacity <= Self.maximumSpareCapacity { spareBuffer = buffer }
    }
}
