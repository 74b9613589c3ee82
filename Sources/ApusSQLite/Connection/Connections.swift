/// The connections of a database. Either all are open, or none is.
struct Connections {
    let writer: SQLiteConnection
    /// `nil` in memory.
    let checkpointer: Checkpointer?
    /// None in memory, where each connection would have a database of its own.
    let readers: [SQLiteConnection]
    let inlineReaders: [InlineConnection]

    /// Opens the connections.
    /// - Throws: An `AppError` of code `unavailable`.
    init(path: String, _ options: SQLiteOptions, _ lock: WriteLock) throws {
        var opened: [SQLiteConnection] = []
        func open(_ purpose: SQLiteConnection.Purpose, retriesLock: (@Sendable () -> Bool)? = nil) throws
            -> SQLiteConnection
        {
            let connection = try SQLiteConnection(path: path, options: options, for: purpose, retriesLock: retriesLock)
            opened.append(connection)
            return connection
        }
        do {
            writer = try open(.writing, retriesLock: lock.waitToRetry)
            guard path != ":memory:" else {
                checkpointer = nil
                readers = []
                inlineReaders = []
                return
            }
            let checkpointer = Checkpointer(try open(.checkpoints), interval: max(1, options.checkpointPages))
            try checkpointer.observe(writer)
            self.checkpointer = checkpointer
            readers = try (0..<max(0, options.readers)).map { _ in try open(.reading) }
            inlineReaders =
                options.inlineReadInstructions > 0 ? try readers.map { _ in try InlineConnection(path: path) } : []
        } catch {
            // Before the checkpointer is freed, which observes the writer.
            for connection in opened.reversed() { connection.close() }
            throw error
        }
    }
}
