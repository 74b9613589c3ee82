import ApusCore
import ApusData
import Crypto
import Logging
import NIOCore
import NIOSSL

/// The statements that the connections of an event loop share.
///
/// `@unchecked Sendable`: accessed only on the event loop.
final class LoopStatements: @unchecked Sendable {
    @exclusivity(unchecked) private var cache = StatementCache(capacity: 1024)
    /// Called when a statement has turned out to be slow, or no longer is.
    var slownessChanged: (String, Bool) -> Void = { _, _ in }

    /// Returns the statement of a text.
    func statement(_ sql: String) -> PostgresStatement { cache.statement(sql) }

    /// Returns the statement of a template without lists.
    /// - Throws: An `AppError` of code `invalidArgument` if it cannot be sent.
    func statement(_ template: SQLTemplate) throws(AppError) -> PostgresStatement { try cache.statement(template) }
}

/// A connection: a channel handler that performs what the state machine decides.
///
/// All requests that are submitted in one tick of the event loop share one write, and reading goes on while bytes wait
/// to be written: if both sides only wrote, with full buffers, neither would go on.
///
/// `@unchecked Sendable`: every mutable property is accessed only on the event loop. Exclusivity checks are disabled
/// where every message would pay for them: no access to such a property spans a call to other code.
final class PostgresConnection: ChannelInboundHandler, PendingRequest.Target, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias Machine = PostgresConnectionStateMachine<PendingRequest>

    /// Who is told about events of a connection, on its event loop.
    protocol Delegate: AnyObject {
        /// Some requests were answered, or the connection has become usable again.
        func connectionAdvanced(_ connection: PostgresConnection)
        func connectionClosed(_ connection: PostgresConnection)
    }

    /// How far the connection is before messages are exchanged.
    enum Transport {
        case connecting
        /// Whether the server encrypts has been asked.
        case askingForTLS
        case handshaking
        case open
        case closed
    }

    let loop: any EventLoop
    let host: PostgresConfiguration.Host
    let tls: TLSSettings
    let encryption: TLSSettings.Attempt
    let statements: LoopStatements
    let createdAt = NIODeadline.now()
    let lifetimeFactor = Double.random(in: 0.9...1)
    let startPromise: EventLoopPromise<Void>
    let log: Logger
    @exclusivity(unchecked) var machine: Machine
    @exclusivity(unchecked) var transport = Transport.connecting
    @exclusivity(unchecked) var isEncrypted = false
    /// Whether the connection leads through a connection pooler.
    @exclusivity(unchecked) var isPooled = false
    @exclusivity(unchecked) var channelContext: ChannelHandlerContext?
    /// `nil` once the connection is closed. Not weak, because that makes retaining the delegate slower.
    @exclusivity(unchecked) var delegate: (any Delegate)?
    @exclusivity(unchecked) private var reader: MessageReader
    @exclusivity(unchecked) private var isFlushScheduled = false
    @exclusivity(unchecked) private var isClosing = false
    @exclusivity(unchecked) private var readAt = NIODeadline.now()
    /// Since when the server works on the first request that is not answered.
    @exclusivity(unchecked) private(set) var headSince = NIODeadline.now()
    /// When the last request was answered.
    @exclusivity(unchecked) var lastUse = NIODeadline.now()
    @exclusivity(unchecked) var cancellation: Cancellation?
    @exclusivity(unchecked) var transaction = TransactionPhase.none
    /// How many statements are not answered of which it is not known whether they are fast.
    @exclusivity(unchecked) private var unprovenCount = 0
    /// Called for notifications.
    var notified: (PostgresNotification) -> Void = { _ in }

    /// The limit for the bytes of requests that were not answered.
    private static let maximumUnansweredBytes = 1 << 20
    /// After how long no further statements are written behind one that is not answered.
    static let maximumHeadDuration = TimeAmount.milliseconds(30)
    /// How long a statement takes that is run on a connection of its own the next time.
    static let slowDuration = TimeAmount.milliseconds(100)
    /// The capacity beyond which the buffer for writes is not kept.
    private static let maximumKeptCapacity = 64 << 10

    init(
        loop: any EventLoop, host: PostgresConfiguration.Host, options: Machine.Options, maximumMessageBytes: Int,
        tls: TLSSettings, encryption: TLSSettings.Attempt, statements: LoopStatements, log: Logger
    ) {
        self.loop = loop
        self.host = host
        self.tls = tls
        self.encryption = encryption
        self.statements = statements
        self.log = log
        machine = Machine(options)
        reader = MessageReader(maximumLength: maximumMessageBytes)
        startPromise = loop.makePromise()
    }

    // MARK: Requests

    /// Whether the connection takes further requests.
    var isUsable: Bool { machine.isReady && !machine.isCondemned && cancellation == nil }

    /// Whether the server has nothing to do.
    var isIdle: Bool { machine.unansweredCount == 0 }

    /// Whether another request may be written behind those that are not answered.
    /// - Parameter depth: The maximum number of requests that are not answered.
    func hasRoom(depth: Int, now: NIODeadline) -> Bool {
        unprovenCount == 0 && machine.unansweredCount < depth && machine.unansweredBytes < Self.maximumUnansweredBytes
            && now - headSince < Self.maximumHeadDuration
    }

    /// How many requests are not answered.
    var depth: Int { machine.unansweredCount }

    /// Writes a request at the end of the current tick.
    func submit(_ request: PendingRequest) {
        guard machine.isReady else {
            // Even if the task ignores the error, it must not believe that the transaction was committed.
            if case .notBegun = transaction { transaction = .begun }
            return request.finish(.failure(AppError(.unavailable, "The connection to the database was lost.")))
        }
        if isIdle { headSince = .now() }
        request.owner = self
        if waitsForCancellation(request) { return }
        do throws(AppError) {
            switch request.kind {
            case .statement(let sql, let keepsPrepared): try submit(request, sql, keepsPrepared: keepsPrepared)
            case .group(let group): try submit(request, group: group)
            case .simple(let sql): machine.send(.simple(sql), token: request)
            case .commit: machine.send(.commit, token: request)
            case .copyIn(let sql):
                try checkCopy()
                try checkTransaction()
                machine.send(.copyIn(sql), token: request)
            case .copyOut(let sql):
                try checkCopy()
                try checkTransaction()
                machine.send(.copyOut(sql), token: request)
            }
        } catch {
            return request.finish(.failure(error))
        }
        flushSoon()
    }

    private func submit(_ request: PendingRequest, _ sql: SQL, keepsPrepared: Bool) throws(AppError) {
        let statement =
            if let known = request.statement { known } else { try statement(of: sql, isKept: keepsPrepared) }
        request.statement = statement
        try statement.checkUse()
        try ValueEncoder.validate(sql.values)
        guard try joinTransaction(request) else { return }
        machine.send(statement, sql.values, token: request, keepsPrepared: keepsPrepared && statement.isKept)
        if statement.speed != .fast { noteUnproven(request) }
    }

    private func statement(of sql: SQL, isKept: Bool) throws(AppError) -> PostgresStatement {
        isKept
            ? try statements.statement(sql.template) : PostgresStatement(try sql.template.text(for: .postgres))
    }

    /// Begins the transaction of the task if it has not begun.
    /// - Returns: Whether a request may be written. Otherwise, it waits until the transaction has begun.
    /// - Throws: If the transaction has ended, or a COPY of it is under way.
    func joinTransaction(_ request: PendingRequest) throws(AppError) -> Bool {
        try checkCopy()
        switch transaction {
        case .none: break
        case .notBegun(let begin):
            machine.isTransactionReadOnly = begin.contains { $0.contains(bytesOf: "READ ONLY") }
            for first in begin { machine.sendFirst(PostgresStatement(first)) }
            transaction = .beginning([])
        case .beginning(let held):
            transaction = .beginning(held + [request])
            return false
        case .begun: try checkTransaction()
        }
        return true
    }

    /// Counts a request that was written, of which it is not known whether it is fast.
    func noteUnproven(_ request: PendingRequest) {
        request.isUnproven = true
        unprovenCount += 1
    }

    /// - Throws: If a COPY is under way. Its closure would wait for a statement that the server does not read.
    private func checkCopy() throws(AppError) {
        guard machine.isCopying else { return }
        throw AppError(
            .internal, "A statement of a transaction cannot run in the closure of a COPY. Run it before or afterwards.")
    }

    /// - Throws: If the server has ended the transaction of the task. The statement would run outside of it.
    private func checkTransaction() throws(AppError) {
        guard case .begun = transaction, isIdle, machine.status == .idle else { return }
        throw AppError(.aborted, "The transaction has already ended.")
    }

    /// Writes what was appended to the output by the end of the current tick.
    func flushSoon() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        // After the tasks that were resumed in this tick: their requests share the write.
        loop.execute { self.flush() }
    }

    func flush() {
        isFlushScheduled = false
        guard machine.output.readableBytes > 0, let channelContext else { return }
        channelContext.writeAndFlush(wrapOutboundOut(machine.output), promise: nil)
        if machine.output.capacity > Self.maximumKeptCapacity {
            machine.output = ByteBuffer()
        } else {
            // Keeps the memory if the bytes have been written by now.
            machine.output.clear(minimumCapacity: 1024)
        }
    }

    /// Ends the connection in order.
    func close() {
        guard transport != .closed else { return }
        isClosing = true
        machine.terminate()
        flush()
        perform(machine.fail(AppError(.unavailable, "The connection to the database was closed.")))
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        channelContext = context
        if context.channel.isActive { opened(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { channelContext = nil }

    func channelActive(context: ChannelHandlerContext) {
        opened(context)
        context.fireChannelActive()
    }

    private func opened(_ context: ChannelHandlerContext) {
        guard case .connecting = transport else { return }
        if encryption == .plain { startSession() } else { askForTLS(context) }
    }

    /// Begins the session, once the transport is as secure as it will be.
    func startSession() {
        transport = .open
        machine.isConfidential = isEncrypted || channelContext?.remoteAddress?.isOnThisMachine == true
        machine.start()
        flush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A write that fails reads what is left, maybe while a message is passed on.
        guard !isClosing else { return }
        let bytes = unwrapInboundIn(data)
        switch transport {
        case .open: break
        case .askingForTLS: return answeredTLS(bytes, context)
        case .connecting, .handshaking, .closed: return
        }
        readAt = .now()
        reader.append(bytes)
        do throws(ProtocolViolation) {
            try reader.read { message in
                perform(machine.received(message))
                return !machine.hasEnded
            }
        } catch {
            perform(machine.fail(AppError(.unavailable, "The database has violated its protocol.", cause: error)))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard transport == .open else { return }
        if machine.output.readableBytes > 0, !isFlushScheduled { flush() }
        // The answers of tasks that were gone are counted here.
        if isIdle { unprovenCount = 0 }
        transactionAdvanced()
        cancellationAdvanced()
        delegate?.connectionAdvanced(self)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        machine.progress?.token?.copy?.writabilityChanged(context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if transport == .handshaking { handshakeAdvanced(event, context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        perform(machine.fail(AppError(.unavailable, "The connection to the database was lost.")))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        perform(machine.fail(AppError(.unavailable, "The connection to the database was lost.", cause: error)))
    }

    // MARK: Actions

    func perform(_ action: Machine.Action) {
        switch action {
        case .none: break
        case .answered(let slot): answered(slot)
        case .answeredGroup(let slots): answeredGroup(slots)
        case .started:
            lastUse = .now()
            startPromise.succeed()
        case .deriveKey(let request): derive(request)
        case .copyIn(let request): beginCopyIn(request)
        case .copyOut(let request, let bytes): request?.copy?.received(bytes)
        case .notification(let notification): notified(notification)
        case .notice(let notice): log.debug("notice of the database", metadata: ["notice": "\(notice)"])
        case .failed(let error, let waiting): closed(error, waiting)
        }
    }

    private func answered(_ slot: Slot<PendingRequest>) {
        let request = slot.waiting
        if let request, case .group = request.kind { return answered(request, request.groupAnswer([slot])) }
        answered(request, slot.takeAnswer())
    }

    private func answeredGroup(_ slots: [Slot<PendingRequest>]) {
        guard let request = slots.last?.waiting, case .group = request.kind else {
            for slot in slots { answered(slot.waiting, slot.takeAnswer()) }
            return
        }
        answered(request, request.groupAnswer(slots))
    }

    private func answered(_ request: PendingRequest?, _ answer: Result<StatementResult, AppError>) {
        lastUse = readAt
        let duration = readAt - headSince
        if duration <= Self.slowDuration { request?.groupWasFast() }
        if let statement = request?.statement {
            let speed: PostgresStatement.Speed = duration > Self.slowDuration ? .slow : .fast
            let changes = (statement.speed == .slow) != (speed == .slow)
            statement.speed = speed
            if changes { statements.slownessChanged(statement.sql, speed == .slow) }
        }
        if request?.isUnproven == true { unprovenCount -= 1 }
        headSince = readAt
        watchAbandonedHead()
        switch answer {
        case .success(var result):
            result.duration = duration
            request?.finish(.success(result))
        case .failure(let error): request?.finish(.failure(error))
        }
    }

    private func beginCopyIn(_ request: PendingRequest?) {
        if let copy = request?.copy, !copy.isAbandoned {
            copy.begin()
        } else {
            machine.endCopyIn(failure: "The client has cancelled the copy.")
        }
    }

    /// Derives a key from the password, away from the event loop: that takes milliseconds.
    private func derive(_ request: SCRAM.KeyRequest) {
        guard let password = machine.options.password else { return }
        PasswordQueue.derive(request, password).hop(to: loop).whenComplete { result in
            switch result {
            case .success(let key):
                self.machine.derived(key)
                self.flush()
            case .failure(let error):
                self.perform(self.machine.fail(AppError(.internal, "The password cannot be used.", cause: error)))
            }
        }
    }

    private func closed(_ error: AppError, _ waiting: [(PendingRequest, AppError)]) {
        guard transport != .closed else { return }
        transport = .closed
        startPromise.fail(error)
        for (request, error) in waiting { request.finish(.failure(error)) }
        transactionLost(error)
        cancellation?.connectionClosed(error)
        cancellation = nil
        delegate?.connectionClosed(self)
        delegate = nil
        channelContext?.close(promise: nil)
    }
}
