import NIOCore
import Synchronization

/// The connections that the tasks of one event loop share, to all servers.
///
/// `@unchecked Sendable`: every stored property is accessed only on the event loop, except for the tickets, which are
/// atomic.
final class LoopConnections: RequestTarget, @unchecked Sendable {
    let eventLoop: any EventLoop
    private let core: ClientCore
    private let tickets = Atomic<UInt64>(0)
    @exclusivity(unchecked) private var primary: NodeConnections?
    private var members: [RedisEndpoint: NodeConnections] = [:]
    /// Servers that have left the cluster, until their connections have ended.
    private var leaving: [NodeConnections] = []
    private var isClosed = false

    init(_ eventLoop: any EventLoop, _ core: ClientCore) {
        self.eventLoop = eventLoop
        self.core = core
    }

    func nextTicket() -> UInt64 { tickets.add(1, ordering: .relaxed).newValue }

    func submit(_ request: RedisRequest, _ continuation: ReplyContinuation) {
        guard !isClosed else {
            return continuation.resume(throwing: ConnectionFailure.clientClosed.errorBeforeSending)
        }
        connections(to: request.node).submit(request, continuation)
    }

    func cancel(ticket: UInt64) {
        primary?.cancel(ticket: ticket)
        for member in members.values { member.cancel(ticket: ticket) }
        for member in leaving { member.cancel(ticket: ticket) }
    }

    private func connections(to node: NodeID) -> NodeConnections {
        switch node {
        case .primary:
            if let primary { return primary }
            let created = NodeConnections(eventLoop, node, core)
            primary = created
            return created
        case .member(let endpoint):
            if let member = members[endpoint] { return member }
            let created = NodeConnections(eventLoop, node, core)
            members[endpoint] = created
            return created
        }
    }

    /// Closes the connections to servers that do not belong to the cluster any more.
    func retain(_ endpoints: Set<RedisEndpoint>) {
        leaving.removeAll { $0.hasEnded }
        for (endpoint, member) in members where !endpoints.contains(endpoint) {
            members[endpoint] = nil
            member.close()
            if !member.hasEnded { leaving.append(member) }
            core.outages.forget(endpoint.description)
        }
    }

    private var all: [NodeConnections] { (primary.map { [$0] } ?? []) + members.values + leaving }

    /// Accepts no more requests; what was written gets its replies.
    func close() {
        isClosed = true
        for node in all { node.close() }
    }

    var hasEnded: Bool { all.allSatisfy(\.hasEnded) }

    func abort() {
        isClosed = true
        for node in all { node.abort() }
    }
}
