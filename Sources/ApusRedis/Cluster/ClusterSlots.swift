import NIOCore

/// The reply to `CLUSTER SLOTS`: for each range of slots, its primary and its replicas.
enum ClusterSlots {
    struct Range: Equatable {
        let slots: ClosedRange<Int>
        let endpoint: RedisEndpoint
    }

    /// The maximum number of primaries.
    private static let maximumServers = 16_384

    /// - Parameter asked: The server that answered, whose host stands for hosts that the reply leaves empty.
    /// - Throws: The error of the reply, or a `RedisError` if it is malformed.
    static func parse(_ reply: RedisValue, from asked: RedisEndpoint) throws -> [Range] {
        if case .error(let error) = reply { throw error }
        guard let entries = reply.elements, entries.count <= maximumServers else { throw malformed }
        // A server that has left the cluster or has not joined it yet. Another one knows more.
        guard !entries.isEmpty else { throw RedisError(code: "ERR", message: "the server knows no hash slots") }
        return try entries.map { entry in
            guard let elements = entry.elements, elements.count >= 3,
                case .integer(let first) = elements[0], case .integer(let last) = elements[1],
                first >= 0, first <= last, last < HashSlot.count,
                let primary = elements[2].elements, primary.count >= 2, case .integer(let port) = primary[1],
                (1...65_535).contains(port)
            else { throw malformed }
            let announced = primary[0].text.map { String(buffer: $0) } ?? ""
            // "?" stands for an unknown host.
            guard let host = announced.isEmpty || announced == "?" ? asked.host : announced else { throw malformed }
            return Range(slots: Int(first)...Int(last), endpoint: .tcp(host: host, port: Int(port)))
        }
    }

    private static var malformed: RedisError {
        RedisError(code: "ERR", message: "the reply to CLUSTER SLOTS is malformed")
    }
}
