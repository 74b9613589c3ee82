import ApusCore

extension PubSub {
    /// Passes the events of a channel to a closure until the task is cancelled. Subscribes again when the engine was away.
    ///
    /// The first event is a gap, as soon as the subscription exists: what was sent before it is unknown.
    ///
    /// ```swift
    /// try await pubSub.listen(to: "prices") { event in
    ///     switch event {
    ///     case .message(let bytes): prices.apply(bytes)
    ///     case .gap: try await prices.reload()
    ///     }
    /// }
    /// ```
    /// - Parameters:
    ///   - capacity: The maximum number of messages that wait for the closure. 256 by default.
    ///   - away: Called with the error each time that subscribing has failed. It is tried again with growing delays, up to
    ///     5 seconds.
    ///   - receive: Called with each event, in order.
    /// - Throws: `CancellationError`, or an error of the closure.
    public func listen(
        to channel: String, capacity: Int = 256, away: (any Error) -> Void = { _ in },
        _ receive: (PubSubEvent) async throws -> Void
    ) async throws {
        let backoff = RetryPolicy(maximumAttempts: .max)
        var failures = 0
        while true {
            var subscription: PubSubSubscription?
            do {
                subscription = try await subscribe(to: channel, capacity: capacity)
            } catch {
                try Task.checkCancellation()
                away(error)
            }
            if let subscription {
                failures = 0
                try await receive(.gap)
                for try await event in subscription { try await receive(event) }
                // The engine has ended it, because it is closed, usually with the process, or because it does not permit the
                // channel any more.
                try await Task.sleep(for: .seconds(1))
            } else {
                failures += 1
                try await Task.sleep(for: backoff.delay(after: failures) + .milliseconds(10))
            }
        }
    }
}
