import ApusCore
import NIOCore
import Synchronization

/// A connection to a server. Performs what its state machine decides.
///
/// Commands of all tasks of an event-loop iteration share one write, which follows at the end of the iteration.
///
/// `@unchecked Sendable`: every stored property is accessed only on the channel's event loop, except for those that are
/// atomic. Exclusivity checks are disabled where every command would pay for them: no access to such a property spans a
/// call to other code, because the state machine and the reader return what is to be done, and it is done afterwards.
final class RedisConnection: ChannelInboundHandler, RequestTarget, RedisRequest.Owner, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How a connection is used.
    enum Purpose {
        /// By all tasks of an event loop.
        case shared
        /// By one task at a time. Its commands may block.
        case dedicated
        /// For subscriptions.
        case subscriber
    }

    /// What a connection tells its owner, on the event loop.
    protocol Owner: AnyObject {
        /// The server refuses commands because of its role or state, and accepts no more.
        func connectionRefused(_ connection: RedisConnection)
        /// A connection that had been ready has ended.
        func connectionEnded(_ connection: RedisConnection, _ failure: ConnectionFailure)
        /// A message of a subscription.
        func connection(_ connection: RedisConnection, received message: PushMessage)
    }

    let eventLoop: any EventLoop
    let endpoint: RedisEndpoint
    private let purpose: Purpose
    private let settings: ConnectionSettings
    private let ready: EventLoopPromise<RedisConnection>
    /// `nil` once the connection has ended. Not weak, because that makes retaining the owner slower.
    @exclusivity(unchecked) var owner: (any Owner)?
    private let isOpenFlag = Atomic(true)

    @exclusivity(unchecked) private var machine: ConnectionStateMachine<RedisRequest>
    @exclusivity(unchecked) private var reader: RESPReader
    @exclusivity(unchecked) private var output = ByteBuffer()
    @exclusivity(unchecked) private var isFlushScheduled = false
    /// When the timer for the earliest deadline fires.
    @exclusivity(unchecked) private var nextExpiry: NIODeadline?
    private var expiryTimer: Scheduled<Void>?
    private var ticker: RepeatedTask?
    private var channelContext: ChannelHandlerContext?
    private var failure: ConnectionFailure?
    /// When the connection became ready.
    private(set) var readyAt: NIODeadline?

    /// Above this size, the buffer of a write is not reused for the next one.
    private static let maximumRetainedOutput = 64 << 10

    init(
        _ eventLoop: any EventLoop, endpoint: RedisEndpoint, purpose: Purpose, settings: ConnectionSettings,
        ready: EventLoopPromise<RedisConnection>
    ) {
        self.eventLoop = eventLoop
        self.endpoint = endpoint
        self.purpose = purpose
        self.settings = settings
        self.ready = ready
        machine = ConnectionStateMachine(
            isSubscriber: purpose == .subscriber, maximumSlots: settings.pendingCommands, now: .now())
        reader = RESPReader(limits: settings.limits)
    }

    // MARK: State

    /// Whether commands can be written.
    var isReady: Bool { machine.isReady }

    /// The number of commands whose replies are missing.
    var pending: Int { machine.pending }

    /// Whether the connection has not ended. May be read from any thread.
    var isOpen: Bool { isOpenFlag.load(ordering: .acquiring) }

    /// Whether the server speaks RESP3.
    var usesRESP3: Bool { machine.usesRESP3 }

    // MARK: Requests

    func submit(_ request: RedisRequest) {
        let answer: ConnectionStateMachine<RedisRequest>.Answer
        switch request.content {
        case .command: answer = .reply
        case .group(let commands):
            guard !commands.isEmpty else { return request.finish(.success(.array([]))) }
            answer = .group(commands.count)
        case .subscription(_, let kind, let isSubscribing, let count):
            answer = .confirmations(kind, isSubscribing: isSubscribing, count)
        }
        if machine.pending == 0 { machine.writing(now: .now()) }
        switch machine.add(request, answer, deadline: request.deadline) {
        case .admitted: request.owner = self
        case .closed: return request.finish(.failure((failure ?? .lost(nil)).errorBeforeSending))
        case .full:
            return request.finish(
                .failure(
                    AppError(
                        .resourceExhausted,
                        "Redis does not keep up: \(settings.pendingCommands) commands wait for their replies.")))
        }
        switch request.content {
        case .command(let command), .subscription(let command, _, _, _): command.write(to: &output)
        case .group(let commands): for command in commands { command.write(to: &output) }
        }
        scheduleFlush()
        if let deadline = request.deadline { expire(at: deadline) }
    }

    func cancel(_ request: RedisRequest) {
        guard let request = machine.cancel(where: { $0 === request }) else { return }
        request.finish(.failure(CancellationError()))
        // A blocked command would keep the connection from its next user.
        if purpose == .dedicated { end(.abandoned) }
    }

    private static let ping = RedisCommand("PING")

    // MARK: Writing

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        // Runs after the tasks that this iteration resumes, so that their commands share the write.
        eventLoop.execute { self.flush() }
    }

    private func flush() {
        isFlushScheduled = false
        guard let channelContext, output.readableBytes > 0 else { return }
        write(output, channelContext)
        // The storage is reused if the channel has written everything.
        if output.capacity > Self.maximumRetainedOutput { output = ByteBuffer() } else { output.clear() }
    }

    private func write(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    // MARK: Deadlines

    private func expire(at deadline: NIODeadline) {
        if let nextExpiry, nextExpiry <= deadline { return }
        expiryTimer?.cancel()
        nextExpiry = deadline
        expiryTimer = eventLoop.scheduleTask(deadline: deadline) { self.expire() }
    }

    private func expire() {
        nextExpiry = nil
        let (expired, next) = machine.expire(now: .now())
        for request in expired { request.finish(.failure(Deadline.exceeded)) }
        if let next { expire(at: next) }
        if purpose == .dedicated, !expired.isEmpty { end(.abandoned) }
    }

    // MARK: Channel events

    /// Begins the handshake on a channel that has been connected.
    func use(_ channel: any Channel) {
        do {
            // It may have ended meanwhile, by the connect timeout.
            guard !machine.isClosed else { throw ChannelError.alreadyClosed }
            try channel.pipeline.syncOperations.addHandler(self)
            if !channel.isActive { end(.lost(nil)) }
        } catch {
            channel.close(promise: nil)
            end(.unreachable(error))
        }
    }

    func handlerAdded(context: ChannelHandlerContext) {
        channelContext = context
        output = context.channel.allocator.buffer(capacity: 512)
        if context.channel.isActive { begin() }
    }

    func handlerRemoved(context: ChannelHandlerContext) { channelContext = nil }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        begin()
    }

    private func begin() { perform(machine.connected(settings.handshake)) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !machine.isClosed else { return }
        machine.receivedBytes(now: .now())
        reader.append(unwrapInboundIn(data))
        do throws(RESPFailure) {
            while let value = try reader.next() {
                perform(machine.received(value))
                if machine.isClosed { return }
            }
        } catch {
            end(.violation(error.description))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(.lost(nil))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(.lost(error)) }

    private func perform(_ action: ConnectionStateMachine<RedisRequest>.Action) {
        switch action {
        case .none: break
        case .send(let command):
            command.write(to: &output)
            scheduleFlush()
        case .ready: becomeReady()
        case .resume(let request, let value, let next):
            // First, so that a task that is refused does not meet the connection again.
            follow(next)
            request.finish(.success(value))
        case .discard(let next): follow(next)
        case .push(let message): owner?.connection(self, received: message)
        case .confirmed(let message, let request, let next):
            owner?.connection(self, received: message)
            request?.finish(.success(.null))
            follow(next)
        case .fail(let failure): end(failure)
        }
    }

    private func follow(_ next: ConnectionStateMachine<RedisRequest>.Next) {
        switch next {
        case .nothing: break
        case .replace: owner?.connectionRefused(self)
        case .close: end(.abandoned)
        case .replaceAndClose:
            owner?.connectionRefused(self)
            end(.abandoned)
        }
    }

    private func becomeReady() {
        readyAt = .now()
        let interval = min(.seconds(1), settings.keepAlive, settings.responseTimeout)
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in self.tick() }
        ready.succeed(self)
    }

    private func tick() {
        let action = machine.tick(
            now: .now(), keepAlive: settings.keepAlive,
            responseTimeout: purpose == .dedicated ? nil : settings.responseTimeout)
        switch action {
        case .none: break
        case .ping:
            Self.ping.write(to: &output)
            scheduleFlush()
        case .stalled: end(.stalled)
        }
    }

    // MARK: Closing

    /// Accepts no more commands, and closes after the last reply.
    func drain() {
        if machine.drain() { end(.clientClosed) }
    }

    /// Closes the connection, and fails everything that waits for a reply.
    func end(_ failure: ConnectionFailure) {
        guard !machine.isClosed else { return }
        self.failure = failure
        isOpenFlag.store(false, ordering: .releasing)
        let waiting = machine.close()
        expiryTimer?.cancel()
        ticker.take()?.cancel()
        output.clear()
        // Fails only if the connection has never been ready.
        ready.fail(failure)
        channelContext?.close(promise: nil)
        // First, so that the log says why before tasks report that they failed.
        if readyAt != nil { owner?.connectionEnded(self, failure) }
        owner = nil
        for request in waiting { request.finish(.failure(failure.errorAfterSending)) }
    }
}
