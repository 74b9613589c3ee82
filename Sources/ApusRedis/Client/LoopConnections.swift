import NIOCore

/// The connections that the tasks of one event loop share, to all servers.
///
/// `@unchecked Sendable`: every stored property is accessed only on the event loop.
final class LoopConnections: RequestTarget, @unchecked Sendable {
    let eventLoop: any EventLoop
    private let core: ClientCore
    @exclusivity(unchecked) private var primary: NodeConnections?
    private var members: [RedisEndpoint: NodeConnections] = [:]
    /// The connections for large commands, behind which small ones would wait.
    private var bulk: [NodeID: NodeConnections] = [:]
    /// Servers that have left the cluster, until their connections have ended.
    private var leaving: [NodeConnections] = []
    private var isClosed = false

    /// The size of a command in bytes above which it counts as large.
    private static let largeCommand = 64 << 10

    init(_ eventLoop: any EventLoop, _ core: ClientCore) {
        self.eventLoop = eventLoop
        self.core = core
    }

    func submit(_ request: RedisRequest) {
        guard !isClosed else { return request.finish(.failure(ConnectionFailure.clientClosed.errorBeforeSending)) }
        let isLarge = request.content.exceeds(bytes: Self.largeCommand)
        (isLarge ? bulkConnections(to: request.node) : connections(to: request.node)).submit(request)
    }

    private func connections(to node: NodeID) -> NodeConnections {
        switch node {
        case .primary:
            if let primary { return primary }
            let created = NodeConnections(eventLoop, node, core, count: core.connectionsPerLoop)
            primary = created
            return created
        case .member(let endpoint):
            if let member = members[endpoint] { return member }
            let created = NodeConnections(eventLoop, node, core, count: core.connectionsPerLoop)
            members[endpoint] = created
            return created
        }
    }

    private func bulkConnections(to node: NodeID) -> NodeConnections {
        if let known = bulk[node] { return known }
        let created = NodeConnections(eventLoop, node, core, count: 1)
        bulk[node] = created
        return created
    }

    /// Closes the connections to servers that do not belong to the cluster any more.
    func retain(_ endpoints: Set<RedisEndpoint>) {
        leaving.removeAll { $0.hasEnded }
        for (endpoint, member) in members where !endpoints.contains(endpoint) {
            members[endpoint] = nil
            leave(member)
            if let bulk = bulk.removeValue(forKey: .member(endpoint)) { leave(bulk) }
            core.outages.forget(endpoint.description)
        }
    }

    private func leave(_ connections: NodeConnections) {
        connections.close()
        if !connections.hasEnded { leaving.append(connections) }
    }

    private var all: [NodeConnections] { (primary.map { [$0] } ?? []) + members.values + bulk.values + leaving }

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
