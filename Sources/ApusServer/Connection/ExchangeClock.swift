import NIOCore

/// The timers of one request: how fast its body arrives, and how long its response takes to begin.
struct ExchangeClock {
    enum Expiry: Equatable {
        case none
        case bodyTooSlow
        /// The deadline has passed: cancel the handler.
        case cancel
        /// The handler has not reacted to its cancellation: answer without it.
        case abandon
    }

    private let start: NIODeadline
    private var bodyBytes = 0
    private var bodyWait = TimeAmount.zero
    private var isCancelled = false

    init(now: NIODeadline) { start = now }

    mutating func received(bodyBytes count: Int) { bodyBytes += count }

    /// - Parameters:
    ///   - awaitsBody: Whether the client could send more of the body now.
    ///   - hasResponse: Whether the response has begun.
    mutating func tick(
        _ limits: ServerLimits, now: NIODeadline, elapsed: TimeAmount, awaitsBody: Bool, hasResponse: Bool
    ) -> Expiry {
        if awaitsBody {
            bodyWait = bodyWait + elapsed
            let seconds = Double(bodyWait.nanoseconds) / 1e9
            if bodyWait > TimeAmount(limits.bodyGrace), Double(bodyBytes) < seconds * Double(limits.bodyBytesPerSecond)
            {
                return .bodyTooSlow
            }
        }
        let deadline = start + TimeAmount(limits.requestDeadline)
        guard !hasResponse, now > deadline else { return .none }
        if isCancelled { return now > deadline + TimeAmount(limits.cancellationGrace) ? .abandon : .none }
        isCancelled = true
        return .cancel
    }
}
