/// Options of a SQLite database.
public struct SQLiteOptions: Sendable {
    /// The failures that a commit survives.
    public enum Durability: String, Sendable {
        /// A crash of the process and a power failure.
        case power = "FULL"
        /// A crash of the process. After a power failure, the latest commits may be lost.
        case process = "NORMAL"
    }

    /// The failures that a commit survives. A power failure by default.
    public var durability = Durability.power
    /// The number of reader threads, and of connections for reads that run at once. 2.
    public var readers = 2
    /// The number of instructions of SQLite's virtual machine after which a read that runs at once, on the thread of its
    /// caller, is broken off and runs on a reader thread instead, as later reads of the same statement do. 10,000, some hundred
    /// rows; with 0, all reads run on reader threads.
    public var inlineReadInstructions = 10_000
    /// The maximum number of streams and read-only transactions at the same time. 4.
    public var snapshots = 4
    /// The maximum time that a statement waits for a lock of another process. 5 seconds.
    public var busyTimeout = Duration.seconds(5)
    /// The maximum idle time of an open transaction, after which it is rolled back. 30 seconds.
    public var idleTransactionLimit = Duration.seconds(30)
    /// The maximum number of single writes that are committed together. 256.
    public var groupedWrites = 256

    /// The length of the write-ahead log, in pages of usually 4 KiB, at which it is copied back into the database file.
    /// 1000, about 4 MB.
    public var checkpointPages = 1000

    /// How long a statement may run before it is logged as a warning. 500 milliseconds; an app sets it by
    /// `database.slow-query`.
    public var slowQuery = Duration.milliseconds(500)

    public init() {}
}
