/// The reader threads, each with a connection of its own.
final class Readers: Sendable {
    let gate = ReadGate()
    private let connections: [SQLiteConnection]
    private let queue = WorkQueue<Operation>()
    private let stopped = WorkQueue<Void>()

    /// Creates the readers of connections, which they close in the end.
    init(_ connections: [SQLiteConnection]) { self.connections = connections }

    func start() {
        for connection in connections {
            startThread("apus.sqlite.reader") {
                self.loop(connection)
                _ = self.stopped.push(())
            }
        }
    }

    func submit(_ operation: Operation) -> Bool { queue.push(operation) }

    /// The number of reads that wait for a thread.
    var waiting: Int { queue.count }

    /// The number of threads.
    var count: Int { connections.count }

    /// Blocks until all reads that are queued have been processed.
    func close() {
        queue.close()
        for _ in connections { _ = stopped.pop() }
    }

    private func loop(_ connection: SQLiteConnection) {
        while let operation = queue.pop()?.first {
            gate.pass { Self.perform(operation, on: connection) }
        }
        connection.close()
    }

    private static func perform(_ operation: Operation, on connection: SQLiteConnection) {
        guard operation.begin() else { return }
        do {
            try connection.run(operation)
            operation.finish(nil)
        } catch {
            operation.finish(error)
        }
    }
}
