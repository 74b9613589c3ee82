import NIOCore
import Synchronization

/// The pools of the event loops on which a database is used.
final class LoopPools: Sendable {
    private struct State {
        var pools: [ObjectIdentifier: LoopPool] = [:]
        var isClosed = false
    }

    private let connector: PostgresConnector
    private let tick = Mutex<@Sendable () -> Void>({})
    private let state = Mutex(State())

    init(_ connector: PostgresConnector) { self.connector = connector }

    /// Sets what is called every few seconds.
    func setTick(_ body: @escaping @Sendable () -> Void) { tick.withLock { $0 = body } }

    /// Returns the pool of an event loop, which is created when it is first needed.
    func pool(of loop: any EventLoop) -> LoopPool {
        let (pool, start) = state.withLock { state -> (LoopPool, (close: Bool, isNew: Bool)) in
            if let pool = state.pools[ObjectIdentifier(loop)] { return (pool, (false, false)) }
            let pool = LoopPool(loop: loop, connector: connector)
            // A pool that is created after the database was closed is closed from the beginning.
            if !state.isClosed { state.pools[ObjectIdentifier(loop)] = pool }
            return (pool, (state.isClosed, true))
        }
        if start.isNew, !start.close {
            let tick = tick.withLock { $0 }
            loop.runNowOrSoon {
                pool.statements.slownessChanged = { [weak self] in self?.tell($0, isSlow: $1, except: loop) }
                pool.start(tick: tick)
            }
        } else if start.close {
            loop.runNowOrSoon { pool.close(loop.makePromise()) }
        }
        return pool
    }

    /// Tells the other event loops that a statement has turned out to be slow, or no longer is.
    private func tell(_ sql: String, isSlow: Bool, except origin: any EventLoop) {
        for pool in state.withLock({ Array($0.pools.values) }) where pool.loop !== origin {
            pool.loop.execute { pool.statements.statement(sql).speed = isSlow ? .slow : .unknown }
        }
    }

    func close() async {
        let pools = state.withLock { state in
            state.isClosed = true
            return Array(state.pools.values)
        }
        for pool in pools {
            // Fails if the event loop has ended.
            _ = try? await pool.loop.flatSubmit {
                let promise = pool.loop.makePromise(of: Void.self)
                pool.close(promise)
                return promise.futureResult
            }.get()
        }
    }

    /// The connections of all event loops, and the statements that wait for one.
    var load: (connections: Int, waiting: Int) {
        state.withLock { state in
            state.pools.values.reduce((0, 0)) { sum, pool in
                (
                    sum.0 + pool.load.connections.load(ordering: .relaxed),
                    sum.1 + pool.load.waiting.load(ordering: .relaxed)
                )
            }
        }
    }

    func statistics(_ exclusive: ExclusivePool) async -> PostgresStatistics {
        let counts = exclusive.counts
        var statistics = PostgresStatistics(
            exclusiveConnections: counts.open, idleExclusiveConnections: counts.idle,
            waitingForExclusive: counts.waiting)
        for pool in state.withLock({ Array($0.pools.values) }) {
            guard let counts = try? await pool.loop.submit({ pool.counts }).get() else { continue }
            statistics.sharedConnections += counts.connections
            statistics.connecting += counts.connecting
            statistics.waitingStatements += counts.waiting
            statistics.runningStatements += counts.running
        }
        return statistics
    }
}

/// The connections of a database, and what uses or waits for them.
public struct PostgresStatistics: Sendable, Equatable {
    /// The open connections for single statements.
    public internal(set) var sharedConnections = 0
    /// The connections for single statements that are being opened.
    public internal(set) var connecting = 0
    /// The single statements that were sent and not answered.
    public internal(set) var runningStatements = 0
    /// The single statements that wait for a connection.
    public internal(set) var waitingStatements = 0
    /// The connections for transactions, COPY, cursors and slow statements, with those that are being opened.
    public internal(set) var exclusiveConnections = 0
    /// Those of them that are not in use.
    public internal(set) var idleExclusiveConnections = 0
    /// The tasks that wait for one of them.
    public internal(set) var waitingForExclusive = 0
}
