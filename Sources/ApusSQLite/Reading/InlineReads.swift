import ApusCore
import ApusData
import Foundation
import GRDB
import Synchronization

/// Short reads, which run at once on the caller's thread, even if it is an event loop: reading a few pages that are in
/// memory takes microseconds, and handing the read to another thread and back takes several times as long.
///
/// A read of many instructions is broken off and runs on a reader thread instead, and so do later reads of the same statement.
/// So does a read that fails, because the database is locked for example, and while pages come slowly from the disk, all do.
final class InlineReads: Sendable {
    private struct State {
        var idle: [InlineConnection] = []
        /// The statements of reads that were too long.
        var longReads: Set<SQLTemplate> = []
        /// Until when all reads go to the threads.
        var suspendedUntil: ContinuousClock.Instant?
        /// The number of blocks that the process had read from disks at the end of the last slow read.
        var blocksRead = 0
        var isClosed = false
    }

    /// How long a read takes that may have waited for the disk, and for how long no read runs at once after it.
    private static let (slowRead, suspension) = (Duration.milliseconds(5), Duration.seconds(1))
    /// The size of a result, in bytes, from which on its statement counts as long.
    private static let maximumBytes = 256 << 10
    /// The maximum number of remembered statements.
    private static let maximumLongReads = 1000
    /// How long the statements of a batch take of which the rest runs on a reader thread.
    private static let longestBatch = Duration.milliseconds(2)
    /// The time of reads after which a task gives way to others, in nanoseconds: that of many short reads, or of few long
    /// ones.
    private static let turn = 500_000

    private let instructions: Int
    private let gate: ReadGate
    private let state: Mutex<State>
    /// The time of reads since a task gave way, in nanoseconds.
    private let time = Atomic<Int64>(0)

    /// The number of connections.
    let count: Int

    /// - Parameters:
    ///   - connections: One for each read that runs at the same time. They are closed in the end.
    ///   - instructions: The number of instructions after which a read is broken off.
    ///   - gate: Closed while the writer pauses reads.
    init(_ connections: [InlineConnection], instructions: Int, gate: ReadGate) {
        self.instructions = instructions
        self.gate = gate
        count = connections.count
        state = Mutex(State(idle: connections))
    }

    /// Gives way to the other tasks of the thread from time to time, for tasks that only read.
    func takeTurn() async {
        guard time.load(ordering: .relaxed) >= Self.turn else { return }
        time.store(0, ordering: .relaxed)
        // The end of a child task resumes this one on its event loop, which `Task.yield()` would leave.
        async let end: Void = Self.noWork()
        await end
    }

    private static func noWork() async {}

    /// Runs a query.
    /// - Returns: Its rows, and how long it took; `nil` if it has to run on a reader thread.
    func rows(of sql: ApusData.SQL) throws -> (rows: [ApusData.Row], duration: Duration)? {
        let sql = sql.resolvingLists(for: .sqlite)
        return try read({ $0.contains(sql.template) }) { connection, _ in try rows(of: sql, on: connection) }
    }

    /// Runs queries in one transaction.
    /// - Returns: The rows of each, and how long all took; `nil` if they have to run on a reader thread.
    func rows(ofEach statements: [ApusData.SQL]) throws -> (rows: [[ApusData.Row]], duration: Duration)? {
        let statements = statements.map { $0.resolvingLists(for: .sqlite) }
        return try read({ longReads in statements.contains { longReads.contains($0.template) } }) { connection, start in
            try connection.inTransaction {
                try statements.map { sql in
                    // Each is short, but there may be many.
                    guard start.duration(to: .now) < Self.longestBatch else { throw TakesLong() }
                    return try rows(of: sql, on: connection)
                }
            }
        }
    }

    /// A batch that goes on on a reader thread.
    private struct TakesLong: Error {}

    private func rows(of sql: ApusData.SQL, on connection: InlineConnection) throws -> [ApusData.Row] {
        do {
            let rows = try connection.rows(of: sql, instructions: instructions)
            if ApusData.Row.size(of: rows) > Self.maximumBytes { remember(sql.template) }
            return rows
        } catch let error as DatabaseError where error.resultCode == .SQLITE_INTERRUPT {
            remember(sql.template)
            throw error
        }
    }

    /// Reads on a connection.
    /// - Parameter isLong: Whether what is to be read is among the statements of reads that were too long.
    /// - Returns: `nil` if it has to be read on a reader thread, which also reports what is wrong with a statement.
    private func read<Rows>(
        _ isLong: (Set<SQLTemplate>) -> Bool,
        _ body: (InlineConnection, ContinuousClock.Instant) throws -> Rows
    ) throws -> (rows: Rows, duration: Duration)? {
        let start = ContinuousClock.now
        guard gate.enterIfOpen() else { return nil }
        // After the connection was given back: once no read runs, all connections are there to be closed.
        defer { gate.leave() }
        guard let connection = take(isLong, at: start) else { return nil }
        defer { give(connection) }
        let rows: Rows
        do {
            rows = try body(connection, start)
        } catch is DatabaseError {
            return nil
        } catch is TakesLong {
            return nil
        }
        let duration = start.duration(to: .now)
        // Reads are far shorter than a second.
        time.wrappingAdd(duration.components.attoseconds / 1_000_000_000, ordering: .relaxed)
        if duration > Self.slowRead { suspendIfDiskWasRead() }
        return (rows, duration)
    }

    private func take(
        _ isLong: (Set<SQLTemplate>) -> Bool, at now: ContinuousClock.Instant
    ) -> InlineConnection? {
        state.withLock { state in
            if let end = state.suspendedUntil {
                guard now >= end else { return nil }
                state.suspendedUntil = nil
            }
            guard state.longReads.isEmpty || !isLong(state.longReads) else { return nil }
            return state.idle.popLast()
        }
    }

    private func give(_ connection: InlineConnection) {
        // One whose transaction cannot be ended is closed.
        guard !connection.isInTransaction else { return }
        state.withLock { if !$0.isClosed { $0.idle.append(connection) } }
    }

    private func remember(_ template: SQLTemplate) {
        state.withLock { state in
            if state.longReads.count >= Self.maximumLongReads { state.longReads.removeAll() }
            state.longReads.insert(template)
        }
    }

    /// Suspends reads after a slow one, unless it only waited for its turn on a busy processor.
    private func suspendIfDiskWasRead() {
        var usage = rusage()
        // RUSAGE_SELF, whose type differs between systems.
        getrusage(0, &usage)
        state.withLock { state in
            guard usage.ru_inblock > state.blocksRead else { return }
            state.blocksRead = usage.ru_inblock
            state.suspendedUntil = .now + Self.suspension
        }
    }

    /// Closes the connections. One in use is closed when its read ends.
    func close() {
        state.withLock { state in
            state.isClosed = true
            state.idle = []
        }
    }
}
