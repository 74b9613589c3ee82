import ApusCore
import NIOCore
import Synchronization

/// Which server of a cluster has which hash slots.
final class ClusterMap: Sendable {
    private struct State {
        /// For each slot, the index of its server, or -1.
        var slots = [Int16](repeating: -1, count: HashSlot.count)
        var servers: [RedisEndpoint] = []
        var refreshing: EventLoopFuture<Void>?
        var refreshedAt: ContinuousClock.Instant?
    }

    private let seeds: [RedisEndpoint]
    private let state = Mutex(State())

    /// The least time between two refreshes that errors cause.
    private static let refreshInterval = Duration.seconds(1)

    init(_ seeds: [RedisEndpoint]) { self.seeds = seeds }

    /// A server for commands without keys.
    var anyEndpoint: RedisEndpoint? { state.withLock { $0.servers.randomElement() } }

    /// The server of a slot, if it is known.
    func endpoint(of slot: UInt16) -> RedisEndpoint? {
        state.withLock { state in
            let index = Int(state.slots[Int(slot)])
            return index >= 0 ? state.servers[index] : nil
        }
    }

    /// Notes that a slot has moved.
    func moved(_ slot: UInt16, to endpoint: RedisEndpoint) {
        state.withLock { state in
            let index = state.servers.firstIndex(of: endpoint) ?? state.servers.count
            guard index < Int(Int16.max) else { return }
            if index == state.servers.count { state.servers.append(endpoint) }
            state.slots[Int(slot)] = Int16(index)
        }
    }

    // MARK: Refreshing

    /// Reads the map from the cluster unless that has just been done. All slots of a server move at once in a failover,
    /// and each command that meets one of them gets here.
    func refreshSoon(_ core: ClientCore) {
        state.withLock { state in
            if let last = state.refreshedAt, last.duration(to: .now) < Self.refreshInterval { return }
            _ = startRefreshing(&state, core)
        }
    }

    /// Reads the map from the cluster. Concurrent callers share one read, which goes on when one of them is cancelled.
    func refresh(_ core: ClientCore) async throws {
        try await state.withLock { startRefreshing(&$0, core) }.valueUnlessCancelled()
    }

    private func startRefreshing(_ state: inout State, _ core: ClientCore) -> EventLoopFuture<Void> {
        if let refreshing = state.refreshing { return refreshing }
        state.refreshedAt = .now
        let refreshing = core.defaultLoop.makeFutureWithTask {
            defer { self.state.withLock { $0.refreshing = nil } }
            try await self.read(core)
        }
        state.refreshing = refreshing
        return refreshing
    }

    private func read(_ core: ClientCore) async throws {
        var failure: any Error = ConnectionFailure.unreachable(SentinelResolver.NoServers())
        var asked: Set<RedisEndpoint> = []
        for endpoint in state.withLock({ $0.servers.shuffled() }) + seeds where asked.insert(endpoint).inserted {
            do {
                var command = RedisCommand("CLUSTER")
                command.append("SLOTS")
                let deadline = NIODeadline.now() + TimeAmount(core.configuration.connectTimeout)
                let reply = try await core.current.perform(
                    .command(command), node: .member(endpoint), deadline: deadline)
                let ranges = try ClusterSlots.parse(reply, from: endpoint)
                apply(ranges, core)
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func apply(_ ranges: [ClusterSlots.Range], _ core: ClientCore) {
        let servers = state.withLock { state in
            state.servers = []
            state.slots = [Int16](repeating: -1, count: HashSlot.count)
            var indices: [RedisEndpoint: Int16] = [:]
            for range in ranges {
                let index = indices[range.endpoint] ?? Int16(state.servers.count)
                if indices.updateValue(index, forKey: range.endpoint) == nil { state.servers.append(range.endpoint) }
                for slot in range.slots { state.slots[slot] = index }
            }
            return Set(state.servers)
        }
        core.onEachLoop { $0.retain(servers.union(self.seeds)) }
    }
}
