import NIOCore

/// An open connection as its event loop sees it, whichever protocol it speaks. All of it is called on the loop.
protocol Connection: AnyObject, Sendable {
    /// Looks at the clocks.
    func tick(now: NIODeadline, elapsed: TimeAmount)
    /// The server stops: what is idle ends at once, the rest with its last response.
    func drain()
    /// Tells what took the connection, or a stream of it, over that the server stops.
    /// - Returns: How many were told.
    func drainUpgraded() -> Int
    /// Ends the connection at once.
    func abort()
}
