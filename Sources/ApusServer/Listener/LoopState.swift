import ApusCore
import ApusHTTP
import FoundationEssentials
import NIOCore
import ServiceContextModule

/// What the connections of one event loop share: their list, their clock, the date, and a buffer to write into.
///
/// `@unchecked Sendable`: the mutable properties are touched on the event loop alone. None is reached again from within an
/// access to it, so the checks for that are left out where every request would pay for them.
final class LoopState: @unchecked Sendable {
    let eventLoop: any EventLoop
    let executor: EventLoopExecutor
    let core: ServerCore
    private var connections: [ObjectIdentifier: any Connection] = [:]
    private var ticker: RepeatedTask?
    private var lastTick = NIODeadline.now()
    private var second = -1
    /// The `Date` field with its line end, right to a tick.
    @exclusivity(unchecked) private(set) var dateLine: [UInt8] = []
    /// The value of the `Date` field.
    @exclusivity(unchecked) private(set) var date = ""
    /// What every request starts with: its deadline. Requests that begin in the same tick share it.
    @exclusivity(unchecked) private(set) var requestContext = (value: ServiceContext.topLevel, tick: 0)
    /// Memory for the fields of a request of HTTP/2 while it is read.
    @exclusivity(unchecked) var fieldTable = FieldTable()
    @exclusivity(unchecked) private var spareBuffer: ByteBuffer?
    @exclusivity(unchecked) private var idleWorkers: [RequestWorker] = []

    /// How often the clocks of the connections are looked at.
    private static let tickInterval = Duration.milliseconds(250)

    init(_ eventLoop: any EventLoop, core: ServerCore) {
        self.eventLoop = eventLoop
        self.core = core
        executor = EventLoopExecutor(eventLoop)
        refresh()
    }

    /// One timer for all connections of the loop: a timer for each request would cost more than the request.
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
        // A tick early rather than late: when the handler is cancelled its deadline must have passed.
        context.lower(deadline: .after(core.limits.requestDeadline))
        requestContext = (context, requestContext.tick + 1)
        let now = Int(Date().timeIntervalSince1970)
        guard now != second else { return }
        second = now
        date = HTTPDate.format(secondsSince1970: now)
        dateLine = Array("Date: \(date)\r\n".utf8)
    }

    func add(_ connection: any Connection) { connections[ObjectIdentifier(connection)] = connection }

    /// - Returns: Whether it was there.
    @discardableResult
    func remove(_ connection: any Connection) -> Bool {
        connections.removeValue(forKey: ObjectIdentifier(connection)) != nil
    }

    var all: [any Connection] { Array(connections.values) }

    // MARK: Workers

    /// The most workers that wait for a request.
    private static let mostIdleWorkers = 64

    /// Starts to answer a request.
    /// - Returns: Who answers it, to be cancelled.
    func start(_ request: Request, of owner: any RequestWorker.Owner) -> RequestWorker {
        let worker = idleWorkers.popLast() ?? RequestWorker(self)
        worker.start(request, of: owner)
        return worker
    }

    /// - Returns: Whether a worker that has answered its request is to wait for another one.
    func keeps(_ worker: RequestWorker) -> Bool {
        guard !executor.hasShutDown, idleWorkers.count < Self.mostIdleWorkers else { return false }
        idleWorkers.append(worker)
        return true
    }

    /// Ends the workers that wait: the loop is about to end.
    func endWorkers() {
        let workers = idleWorkers
        idleWorkers = []
        for worker in workers { worker.end() }
    }

    // MARK: Buffers

    /// A buffer larger than this is not kept.
    private static let largestSpare = 64 << 10

    /// An empty buffer: the one of the write before, if that has gone out whole.
    func takeBuffer() -> ByteBuffer {
        guard var buffer = spareBuffer.take() else { return ByteBufferAllocator().buffer(capacity: 4096) }
        buffer.clear(minimumCapacity: 512)
        return buffer
    }

    /// Gives a buffer back that was handed to the channel. Should the channel still need it, taking it again makes a copy.
    func giveBack(_ buffer: ByteBuffer) {
        if buffer.capacity <= Self.largestSpare { spareBuffer = buffer }
    }
}
