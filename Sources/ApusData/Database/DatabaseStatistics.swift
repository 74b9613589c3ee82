/// What the connections of a database do at a moment.
public struct DatabaseStatistics: Sendable, Hashable {
    /// The number of connections, idle or not.
    public var connections = 0
    /// The number of statements and transactions that wait for a connection.
    public var waiting = 0
    /// The length of SQLite's write-ahead log, in pages; 0 on other engines.
    public var logPages = 0

    public init() {}
}
