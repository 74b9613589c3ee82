import ApusCore
import NIOCore

extension ClientCore {
    /// How often a command is asked again that a server refused to run.
    private static let maximumAttempts = 8

    /// Finds the server of a command.
    /// - Throws: An `AppError` with code `invalidArgument` if the keys are on several servers.
    func node(for command: RedisCommand) async throws -> NodeID {
        guard let cluster else { return .primary }
        return try await node(in: cluster, for: command.slots, command.name)
    }

    /// Finds the server of commands that run as one.
    func node(for commands: [RedisCommand]) async throws -> NodeID {
        guard let cluster else { return .primary }
        return try await node(in: cluster, for: commands.flatMap(\.slots), commands.first?.name ?? "")
    }

    private func node(in cluster: ClusterMap, for slots: [UInt16], _ name: String) async throws -> NodeID {
        guard let slot = slots.first else {
            if cluster.anyEndpoint == nil { try await load(cluster) }
            return cluster.anyEndpoint.map(NodeID.member) ?? .primary
        }
        guard slots.allSatisfy({ $0 == slot }) else {
            throw AppError(
                .invalidArgument,
                "The keys of \(name) are in different hash slots of the cluster. Keys that are used together need a "
                    + "common hash tag, such as {user:42}:cart and {user:42}:orders.")
        }
        if let endpoint = cluster.endpoint(of: slot) { return .member(endpoint) }
        try await load(cluster)
        guard let endpoint = cluster.endpoint(of: slot) else {
            throw AppError(.unavailable, "No server of the Redis cluster has the hash slot \(slot).")
        }
        return .member(endpoint)
    }

    private func load(_ cluster: ClusterMap) async throws {
        do {
            try await cluster.refresh(self)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw (error as? ConnectionFailure ?? .unreachable(error)).errorBeforeSending
        }
    }

    /// Does what an error reply asks for. Only errors that prove that the command has not run ask for anything.
    func follow(
        _ first: RedisError, after command: RedisCommand, at node: NodeID, deadline: NIODeadline?
    ) async throws -> RedisValue {
        try await follow(first, at: node, deadline: deadline) { target in
            switch target {
            case .again(let node, let waits):
                let node = if let node { node } else { try await self.node(for: command) }
                return try await self.current.perform(
                    .command(command), node: node, waitsWhileAway: waits, deadline: deadline)
            case .asking(let node):
                let group: [RedisCommand] = [RedisCommand("ASKING"), command]
                let reply = try await self.current.perform(.group(group), node: node, deadline: deadline)
                return reply.elements?.last ?? .null
            }
        }
    }

    enum Target {
        /// The server, or the one that the map names now.
        case again(NodeID?, waitsWhileAway: Bool)
        /// The server that receives the slot, for this command alone.
        case asking(NodeID)
    }

    /// Sends commands again as their error replies ask for.
    /// - Parameter send: Sends the commands, and returns their reply or the error that asks for something.
    /// - Throws: The last error if it asks for nothing or has been asked for too often.
    func follow(
        _ first: RedisError, at node: NodeID, deadline: NIODeadline?,
        _ send: (Target) async throws -> RedisValue
    ) async throws -> RedisValue {
        var error = first
        var node = node
        for attempt in 1..<Self.maximumAttempts {
            let target: Target
            switch error.request {
            case .reconnect:
                // In a cluster, another server may have taken over.
                cluster?.refreshSoon(self)
                try await pause(after: attempt, deadline)
                target = .again(cluster == nil ? node : nil, waitsWhileAway: true)
            case .moved(let redirect):
                guard let cluster, let endpoint = endpoint(of: redirect, from: node) else { throw error }
                cluster.moved(redirect.slot, to: endpoint)
                cluster.refreshSoon(self)
                node = .member(endpoint)
                target = .again(node, waitsWhileAway: false)
            case .ask(let redirect):
                guard let endpoint = endpoint(of: redirect, from: node), cluster != nil else { throw error }
                target = .asking(.member(endpoint))
            case .tryAgain:
                // A server that is cut off from the cluster does not know who has taken over.
                if error.code == "CLUSTERDOWN" { cluster?.refreshSoon(self) }
                try await pause(after: attempt, deadline)
                target = .again(nil, waitsWhileAway: false)
            case .sendScript, nil: throw error
            }
            let reply = try await send(target)
            guard case .error(let next) = reply else { return reply }
            error = next
        }
        throw error
    }

    private func pause(after attempt: Int, _ deadline: NIODeadline?) async throws {
        let delay = configuration.reconnect.delay(after: attempt)
        if let deadline, deadline <= .now() + TimeAmount(delay) { throw Deadline.exceeded }
        try await Task.sleep(for: delay)
    }

    private func endpoint(of redirect: RedisError.Redirect, from node: NodeID) -> RedisEndpoint? {
        // "?" stands for an unknown host.
        guard ["", "?"].contains(redirect.host) else { return .tcp(host: redirect.host, port: redirect.port) }
        guard case .member(let endpoint) = node, let host = endpoint.host else { return nil }
        return .tcp(host: host, port: redirect.port)
    }
}
