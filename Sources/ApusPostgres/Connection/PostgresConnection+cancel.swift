import ApusCore
import NIOCore
import NIOPosix
import NIOSSL

extension PostgresConnection: PendingRequest.Owner {
    /// The cancellation of a statement on the server.
    ///
    /// A cancel request names the server process, not the statement. The connection takes no requests until the
    /// statement has ended, the server has closed the connection that carried the request, so that it can no longer
    /// arrive, and a statement has shown that none is pending.
    struct Cancellation {
        /// How many cancel requests are on their way.
        fileprivate var deliveries = 0
        fileprivate var isDelivered: Bool { deliveries == 0 }
        fileprivate var isProbing = false
        fileprivate var probes = 0
        fileprivate var watchdog: Scheduled<Void>
        fileprivate var waiters: [UnsafeContinuation<Void, Never>] = []
        /// The statements of the transaction that came meanwhile, such as the return to a savepoint.
        fileprivate var held: [PendingRequest] = []

        func connectionClosed(_ error: AppError) {
            watchdog.cancel()
            for request in held { request.finish(.failure(error)) }
            for waiter in waiters { waiter.resume() }
        }
    }

    /// How long delivering a cancel request may take.
    private static let deliveryTimeout = TimeAmount.seconds(5)
    /// How long a cancelled statement, or the commit of a task that was cancelled, may take to end before its connection
    /// is closed.
    private static let cancellationTimeout = TimeAmount.seconds(15)
    /// After how long a cancel request is repeated if the statement goes on, at first and at most.
    private static let (firstRepetition, maximumRepetition) = (TimeAmount.milliseconds(100), TimeAmount.seconds(2))
    private static let maximumProbes = 3

    /// Called when the task of a request is gone. Only the statement that the server works on is cancelled there; the
    /// answers of others are dropped.
    func cancel(_ request: PendingRequest) {
        if case .beginning(let held) = transaction { transaction = .beginning(held.filter { $0 !== request }) }
        cancellation?.held.removeAll { $0 === request }
        let isHead = machine.isHead { $0 === request }
        machine.abandon { $0 === request }
        request.finish(.failure(CancellationError()))
        if isHead { cancelHead(request) }
    }

    /// Called when the task is gone whose statements were written together with the commit. The commit is answered
    /// nevertheless.
    func cancelBatch(_ requests: [PendingRequest]) {
        if let head = requests.first(where: { request in machine.isHead { $0 === request } }) { cancelHead(head) }
    }

    /// Called when the task of a commit is gone. Closes the connection if the server does not answer in time: the outcome
    /// is unknown then.
    func limitCommit(_ commit: PendingRequest) {
        loop.scheduleTask(in: Self.cancellationTimeout) {
            guard !commit.isFinished else { return }
            self.perform(self.machine.fail(AppError(.unavailable, "The database did not answer a commit in time.")))
        }
    }

    /// Holds a statement of a transaction back until no cancellation can hit it.
    /// - Returns: Whether it is held.
    func waitsForCancellation(_ request: PendingRequest) -> Bool {
        guard cancellation != nil, case .begun = transaction else { return false }
        switch request.kind {
        case .statement, .group: cancellation?.held.append(request)
        case .simple, .commit, .copyIn, .copyOut: return false
        }
        return true
    }

    /// Cancels the next statement if its task is gone and it takes long: it was written behind others, so it could not be
    /// cancelled when its task was.
    func watchAbandonedHead() {
        guard let head = machine.abandonedHead else { return }
        loop.scheduleTask(in: Self.slowDuration) {
            if self.machine.isHead(where: { $0 === head }) { self.cancelHead(head) }
        }
    }

    private func cancelHead(_ request: PendingRequest) {
        guard let key = machine.backendKey, let address = channelContext?.remoteAddress else { return }
        flush()
        machine.isCancelling = true
        let watchdog = watchdog(of: request)
        if cancellation == nil {
            cancellation = Cancellation(watchdog: watchdog)
        } else {
            // An earlier statement has ended, and this one was written behind it.
            cancellation?.watchdog.cancel()
            cancellation?.watchdog = watchdog
        }
        deliver(key, to: address, for: request, repetition: Self.firstRepetition)
    }

    /// Closes the connection if a cancelled statement, or the probe after it, does not end in time. Others may take as
    /// long as they do.
    private func watchdog(of request: PendingRequest) -> Scheduled<Void> {
        loop.scheduleTask(in: Self.cancellationTimeout) {
            guard let current = self.cancellation else { return }
            guard !current.isProbing, !self.machine.isHead(where: { $0 === request }) else {
                return self.perform(self.machine.fail(AppError(.unavailable, "A cancelled statement did not end.")))
            }
            self.cancellation?.watchdog = self.watchdog(of: request)
        }
    }

    private func deliver(
        _ key: BackendKey, to address: SocketAddress, for request: PendingRequest, repetition: TimeAmount
    ) {
        let delivered: @Sendable () -> Void = {
            self.delivered()
            // A cancel request that has overtaken its statement, or was lost, has no effect.
            self.loop.scheduleTask(in: repetition) {
                guard self.cancellation != nil, self.machine.isHead(where: { $0 === request }) else { return }
                let next = min(repetition * 2, Self.maximumRepetition)
                self.deliver(key, to: address, for: request, repetition: next)
            }
        }
        cancellation?.deliveries += 1
        let courier = CancelCourier(key, tls: isEncrypted ? tls : nil, host: host)
        let connecting = ClientBootstrap(group: loop).connectTimeout(Self.deliveryTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(courier) }
            }
            .connect(to: address)
        connecting.whenComplete { result in
            switch result {
            case .failure: delivered()
            case .success(let channel):
                let timeout = self.loop.scheduleTask(in: Self.deliveryTimeout) { channel.close(promise: nil) }
                channel.closeFuture.whenComplete { _ in
                    timeout.cancel()
                    delivered()
                }
            }
        }
    }

    private func delivered() {
        cancellation?.deliveries -= 1
        cancellationAdvanced()
        delegate?.connectionAdvanced(self)
    }

    /// Called when a request was answered or the cancel request has been delivered.
    func cancellationAdvanced() {
        guard let current = cancellation, current.isDelivered, isIdle, !current.isProbing else { return }
        // In a transaction, its end is the probe.
        guard machine.status == .idle else { return endCancellation() }
        guard current.probes < Self.maximumProbes else {
            return perform(machine.fail(AppError(.unavailable, "A cancel request is still pending.")))
        }
        cancellation?.isProbing = true
        cancellation?.probes += 1
        let probe = PendingRequest(.simple("SELECT 1"))
        submit(probe)
        probe.whenFinished { result in
            self.cancellation?.isProbing = false
            if case .success = result { self.endCancellation() } else { self.cancellationAdvanced() }
        }
    }

    private func endCancellation() {
        let ended = cancellation
        cancellation = nil
        machine.isCancelling = false
        ended?.watchdog.cancel()
        for request in ended?.held ?? [] { submit(request) }
        for waiter in ended?.waiters ?? [] { waiter.resume() }
        delegate?.connectionAdvanced(self)
    }

    /// Waits until no cancellation is under way, so that the next statement cannot be hit.
    func settle() async {
        await withUnsafeContinuation { continuation in
            loop.runNowOrSoon {
                if self.cancellation == nil {
                    continuation.resume()
                } else {
                    self.cancellation?.waiters.append(continuation)
                }
            }
        }
    }
}

/// Carries a cancel request on a connection of its own, and waits until the server has closed it.
private final class CancelCourier: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let key: BackendKey
    private let tls: TLSSettings?
    private let host: PostgresConfiguration.Host

    /// - Parameter tls: How to encrypt the connection; `nil` if the main connection is not encrypted.
    init(_ key: BackendKey, tls: TLSSettings?, host: PostgresConfiguration.Host) {
        self.key = key
        self.tls = tls
        self.host = host
    }

    func channelActive(context: ChannelHandlerContext) {
        if tls == nil { send(context) } else { write(context) { FrontendMessage.tlsRequest(to: &$0) } }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let tls, unwrapInboundIn(data).readableBytesView.elementsEqual("S".utf8),
            let handler = try? tls.makeHandler(for: host),
            (try? context.pipeline.syncOperations.addHandler(handler, position: .before(self))) != nil
        else { return context.close(promise: nil) }
        // Buffered by the handler until the handshake has ended.
        send(context)
    }

    private func send(_ context: ChannelHandlerContext) {
        write(context) { FrontendMessage.cancelRequest(key, to: &$0) }
    }

    private func write(_ context: ChannelHandlerContext, _ body: (inout ByteBuffer) -> Void) {
        var bytes = context.channel.allocator.buffer(capacity: 16)
        body(&bytes)
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
