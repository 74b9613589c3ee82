/// The limits on one reply of a server. A reply that exceeds one ends the connection.
public struct RESPLimits: Sendable, Hashable {
    /// The maximum number of nested arrays, sets and maps. 32 by default.
    public var depth: Int
    /// The maximum size of one string in bytes. 512 MiB by default, the maximum that Redis stores.
    public var stringBytes: Int
    /// The maximum size of a reply in bytes, everything in it included. 1 GiB by default.
    public var replyBytes: Int
    /// The maximum number of values in a reply, at all depths together. 4,194,304 by default.
    public var values: Int

    /// Creates limits.
    public init(
        depth: Int = 32, stringBytes: Int = 512 << 20, replyBytes: Int = 1 << 30, values: Int = 1 << 22
    ) {
        self.depth = max(1, depth)
        self.stringBytes = max(0, stringBytes)
        self.replyBytes = max(64, replyBytes)
        self.values = max(1, values)
    }

    /// The maximum size of a line in bytes: of a simple string, an error, a number or a length.
    static let lineBytes = 64 << 10
}
