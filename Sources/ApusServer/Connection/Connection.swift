import NIOCore

/// An open connection of either protocol, as seen by its event loop. All methods must be called on the event loop.
protocol Connection: AnyObject, Sendable {
    /// Checks the timeouts.
    func tick(now: NIODeadline, elapsed: TimeAmount)
    /// Begins shutdown: an idle connection closes immediately, any other after its last response.
    func drain()
    /// Notifies the upgraded connection, or the upgraded streams of the connection, that the server is shutting down.
    /// - Returns: The number of upgraded connections or streams that were notified.
    func drainUpgraded() -> Int
    /// Closes the connection immediately.
    func abort()
}
