import ApusCore
import ApusHTTP
import HTTPTypes
import Logging
import NIOCore
import ServiceContextModule

/// One connection: reads requests, starts their handlers on the event loop, writes their responses.
///
/// `@unchecked Sendable`: every stored property is touched on the channel's event loop alone. The tasks of the requests
/// run there too, by their executor preference; what may call from elsewhere goes through ``onLoop(_:)``.
final class ConnectionHandler: ChannelInboundHandler, ChannelOutboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    let core: ServerCore
    let loop: LoopState
    private let remoteAddress: String?
    private(set) var machine: ConnectionStateMachine
    private(set) var channelContext: ChannelHandlerContext?
    private var task: Task<Void, Never>?
    /// Counts the requests, so that what belongs to an earlier one is told from the present one's.
    private var exchange = 0
    private var body: InboundStream?
    private var upgraded: ConnectionByteStream?
    var waitingWriters: [ObjectIdentifier: WaitingWriter] = [:]
    private var isProcessing = false
    var isInRead = false
    var hasUnflushedBytes = false
    private var hasPendingRead = false
    private var owesContinue = false
    private var hasRequestBody = false
    private var isOutputClosed = false
    /// How many bytes were handed to the channel in all.
    var writtenBytes = 0
    var isVersion10 = false
    var isHead = false

    init(core: ServerCore, loop: LoopState, remoteAddress: String?) {
        self.core = core
        self.loop = loop
        self.remoteAddress = remoteAddress
        machine = ConnectionStateMachine(limits: core.limits, now: .now())
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        channelContext = context
        loop.add(self)
    }

    /// Also for a channel that never became active, and so never becomes inactive.
    func handlerRemoved(context: ChannelHandlerContext) {
        loop.remove(self)
        channelContext = nil
        upgraded = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        if core.isDraining { drain() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        isInRead = true
        if let upgraded {
            upgraded.receive(bytes)
        } else {
            machine.received(bytes, now: .now())
            process()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInRead = false
        flushIfNeeded()
    }

    /// The channel asks whether it may read: it may while someone wants what it brings.
    func read(context: ChannelHandlerContext) {
        if upgraded?.hasRoom ?? machine.wantsRead {
            context.read()
        } else {
            hasPendingRead = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        let isWritable = context.channel.isWritable
        machine.writabilityChanged(isWritable)
        guard isWritable else { return }
        resumeWriters(throwing: nil)
        process()
        readIfWanted()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        perform(machine.inputClosed())
        process()
        upgraded?.finish()
    }

    func channelInactive(context: ChannelHandlerContext) {
        machine.closed()
        loop.remove(self)
        body?.finish(throwing: HTTP1Error.truncated.appError)
        body = nil
        upgraded?.finish()
        task?.cancel()
        task = nil
        resumeWriters(throwing: Self.connectionClosed)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// The error of whoever writes to a connection that is gone.
    static var connectionClosed: AppError { AppError(.cancelled, "The connection is closed.") }

    // MARK: Clocks and draining

    func tick(now: NIODeadline, elapsed: TimeAmount) {
        let pending = pendingBytes
        switch machine.tick(now: now, elapsed: elapsed, pendingBytes: pending, sentBytes: writtenBytes - pending) {
        case .none: break
        case .reject(let error): reject(error)
        case .failBody(let error):
            body?.finish(throwing: error.appError)
            body = nil
        case .cancel: task?.cancel()
        case .abandon:
            task?.cancel()
            task = nil
            body?.finish(throwing: Deadline.exceeded)
            body = nil
            write(problem: Deadline.exceeded, status: Deadline.exceeded.httpStatus)
            closeAfterLastResponse()
        case .close: abort()
        }
    }

    /// The server stops: idle connections go at once, the others after their response.
    func drain() { perform(machine.drain()) }

    /// The protocol that took the connection over is told that the server stops.
    func drainUpgraded() { upgraded?.drain() }

    /// Ends the connection once what was written has gone out.
    func closeWhenWritten() {
        guard let channelContext else { return }
        flushIfNeeded()
        // Writes are done in order, so an empty one is done when all before it are. One that never is, because the peer
        // does not read, is cut off by the clocks.
        let written = channelContext.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in self.abort() }
        channelContext.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// Ends the connection at once, whatever is still on its way.
    func abort() { channelContext?.close(promise: nil) }

    // MARK: Steps

    /// Does what the state machine says until it waits. Runs that are caused from within are left to the outer one.
    private func process() {
        guard !isProcessing else { return }
        isProcessing = true
        defer { isProcessing = false }
        while true {
            let action = machine.next()
            if case .wait = action { break }
            perform(action)
        }
        if machine.isLingering { closeAfterLastResponse() }
        if machine.isAbandonedByPeer { task?.cancel() }
        if !isInRead { flushIfNeeded() }
    }

    private func perform(_ action: ConnectionStateMachine.Action) {
        switch action {
        case .wait: if machine.isLingering { closeAfterLastResponse() }
        case .start(let head, let body): start(head, body)
        case .deliver(let bytes): if let body, !body.push(bytes) { machine.bodyWanted(false) }
        case .endBody:
            body?.finish()
            body = nil
        case .failBody(let error):
            body?.finish(throwing: error.appError)
            body = nil
        case .reject(let error): reject(error)
        case .close: closeWhenWritten()
        }
    }

    private func start(_ head: RequestHead, _ arrival: ConnectionStateMachine.Body) {
        exchange += 1
        isVersion10 = head.isVersion10
        isHead = head.method == .head
        owesContinue = head.expectsContinue
        hasRequestBody = true
        var requestBody: RequestBody
        switch arrival {
        case .whole(let bytes):
            requestBody = RequestBody(bytes)
            owesContinue = false
            hasRequestBody = bytes.readableBytes > 0
        case .coming(let length):
            let stream = InboundStream(length: length, capacity: core.limits.bufferedBytes) { [weak self, exchange] in
                self?.onLoop { $0.bodyIsWanted(exchange) }
            }
            body = stream
            requestBody = RequestBody(stream, limit: core.limits.bodyBytes)
        }
        requestBody.limit = core.limits.bodyBytes
        let request = Request(
            method: head.method, target: head.target, headers: head.headers, body: requestBody,
            remoteAddress: remoteAddress, context: RequestContext(logger: core.logger))
        let exchange = exchange
        let task = Task.immediate(executorPreference: loop.executor) { await self.run(request) }
        // A handler that never waited has answered already.
        if exchange == self.exchange, !machine.isIdle { self.task = task }
    }

    private func bodyIsWanted(_ exchange: Int) {
        guard exchange == self.exchange else { return }
        writeContinue()
        machine.bodyWanted(true)
        process()
        readIfWanted()
    }

    private func writeContinue() {
        guard owesContinue else { return }
        owesContinue = false
        writeOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n"))
        flushIfNeeded()
    }

    private func readIfWanted() {
        guard hasPendingRead, upgraded?.hasRoom ?? machine.wantsRead else { return }
        hasPendingRead = false
        channelContext?.read()
    }

    private func reject(_ error: HTTP1Error) {
        _ = machine.linger()
        // There is no request: nothing of the one before may shape the answer.
        isHead = false
        isVersion10 = false
        write(problem: error.appError, status: error.status)
        closeAfterLastResponse()
    }

    private func write(problem: AppError, status: HTTPResponse.Status) {
        var response = Response(problem: problem)
        if status != response.status {
            var details = ProblemDetails(problem)
            details.status = status.code
            details.title = status.reasonPhrase
            response.status = status
            response.body = (try? JSONCoding.encode(details)).map(ResponseBody.bytes) ?? .empty
        }
        writeHeadAndBytes(response, keepAlive: false)
        flushIfNeeded()
    }

    /// Ends the sending side, so that the peer can read the response before the connection is reset.
    private func closeAfterLastResponse() {
        guard !isOutputClosed else { return }
        isOutputClosed = true
        if case .close = machine.linger() { return closeWhenWritten() }
        flushIfNeeded()
        channelContext?.close(mode: .output, promise: nil)
        readIfWanted()
    }

    // MARK: Requests

    private func run(_ request: Request) async {
        guard core.enter() else {
            return await deliver(
                Response(problem: AppError(.unavailable, "The server is at its limit.", retryAfter: .seconds(1))))
        }
        var context = ServiceContext.topLevel
        context.lower(deadline: .after(core.limits.requestDeadline))
        let response = await ServiceContext.withValue(context) {
            do {
                return try await core.handler(request)
            } catch {
                return Response(problem: AppError(wrapping: error), requestID: request.context.id)
            }
        }
        core.leave()
        await deliver(response)
    }

    private func deliver(_ response: Response) async {
        guard channelContext != nil else { return }
        if case .stream = response.body, owesContinue {
            // The producer may read the body yet, and no 100 can be sent once the head is out.
            writeContinue()
            machine.bodyWanted(true)
        }
        guard let keepAlive = machine.beginResponse() else { return }
        if let upgrade = response.upgrade { return await self.upgrade(response, upgrade) }
        guard case .stream(let length, let produce) = response.body, !isHead, !response.hasNoBodyByStatus else {
            writeHeadAndBytes(response, keepAlive: keepAlive)
            return endResponse(keepAlive: keepAlive)
        }
        let staysOpen = keepAlive && (length != nil || !isVersion10)
        writeHead(response, length.map { .length($0) } ?? (isVersion10 ? .close : .chunked), keepAlive: staysOpen)
        // The first piece may be long in coming, and the client is to know that it will.
        if !isInRead { flushIfNeeded() }
        let writer = StreamWriter(handler: self, length: length, isChunked: length == nil && !isVersion10)
        do {
            try await produce(writer)
            try writer.finish()
            endResponse(keepAlive: staysOpen)
        } catch {
            // The head is out, so the only way left to say that the body is not whole is to end the connection.
            request(failed: error)
            closeWhenWritten()
        }
    }

    private func request(failed error: any Error) {
        guard !(error is CancellationError) else { return }
        core.logger.warning(
            "A streamed response was cut off.", metadata: ["error": .string(AppError(wrapping: error).debugDescription)]
        )
    }

    private func endResponse(keepAlive: Bool) {
        task = nil
        body?.finish(throwing: AppError(.cancelled, "The response is out; the body is no longer read."))
        body = nil
        perform(machine.endResponse(keepAlive: keepAlive, now: .now()))
        process()
        readIfWanted()
    }

    private func upgrade(_ response: Response, _ upgrade: Upgrade) async {
        guard !isVersion10, !hasRequestBody else {
            // Bytes of a body would be taken for the other protocol's (RFC 9110 §7.8).
            let error = AppError(.invalidArgument, "Only an HTTP/1.1 request without a body can be upgraded.")
            write(problem: error, status: error.httpStatus)
            return closeAfterLastResponse()
        }
        var head = allocate(256)
        ResponseHeadEncoder.encodeUpgrade(headers: response.headers, into: &head)
        writeOut(head)
        let stream = ConnectionByteStream(handler: self, capacity: core.limits.bufferedBytes)
        upgraded = stream
        let remainder = machine.upgrade()
        if remainder.readableBytes > 0 { stream.receive(remainder) }
        if core.isDraining { stream.drain() }
        flushIfNeeded()
        readIfWanted()
        await upgrade.run(stream)
        stream.finish()
        upgraded = nil
        task = nil
        closeAfterLastResponse()
    }

    /// The reader of the upgraded connection has room again.
    func upgradedWantsBytes() {
        upgraded?.makeRoom()
        readIfWanted()
    }

    /// Runs at once when already on the event loop, soon on it otherwise.
    func onLoop(_ work: @escaping @Sendable (ConnectionHandler) -> Void) {
        if loop.eventLoop.inEventLoop {
            work(self)
        } else {
            loop.executor.execute { work(self) }
        }
    }
}
