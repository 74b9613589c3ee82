/// The statements that are prepared on one connection, or will be when the server has read what was written.
struct PreparedStatements {
    private var entries: [ObjectIdentifier: PreparedStatement] = [:]
    /// The keys of the entries by the names on the server.
    private var keys: [String: ObjectIdentifier] = [:]
    /// The entry that was found last.
    private var lastFound: PreparedStatement?
    private var clock = 0
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(1, capacity) }

    var count: Int { entries.count }

    /// Returns the prepared statement, if it is of the statement's current generation.
    mutating func find(_ statement: PostgresStatement) -> PreparedStatement? {
        // In a group, it is often the same one.
        if let lastFound, lastFound.statement === statement, lastFound.generation == statement.generation {
            return lastFound
        }
        guard let entry = entries[ObjectIdentifier(statement)], entry.generation == statement.generation else {
            return nil
        }
        clock += 1
        entry.lastUse = clock
        lastFound = entry
        return entry
    }

    /// Adds a statement that is about to be prepared.
    /// - Returns: The name to close before, if any: the same one if it is in use, or that of the statement that was not
    ///   used for the longest time when there are too many.
    mutating func add(_ prepared: PreparedStatement) -> String? {
        lastFound = nil
        clock += 1
        prepared.lastUse = clock
        let key = ObjectIdentifier(prepared.statement)
        if let other = keys.updateValue(key, forKey: prepared.name) {
            // It is of an earlier generation, or the event loop has forgotten the text and met it again.
            entries[other] = nil
            entries[key] = prepared
            return prepared.name
        }
        entries[key] = prepared
        guard entries.count > capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) else {
            return nil
        }
        entries[oldest.key] = nil
        keys[oldest.value.name] = nil
        return oldest.value.name
    }

    /// Removes a statement that could not be prepared.
    mutating func remove(_ prepared: PreparedStatement) {
        lastFound = nil
        let key = ObjectIdentifier(prepared.statement)
        guard entries[key] === prepared else { return }
        entries[key] = nil
        keys[prepared.name] = nil
    }
}

/// A statement as it is prepared on one connection. Accessed only on the connection's event loop.
final class PreparedStatement {
    let statement: PostgresStatement
    let generation: Int
    /// The name on the server; empty for a statement that is prepared for one execution.
    let name: String
    /// The beginning of the messages that execute it.
    let bindStart: [UInt8]
    /// The group in which it is prepared, if the server may skip that because of another request of the group. Until the
    /// server has answered, it is certain only for that group that the name means this statement.
    @exclusivity(unchecked) var unconfirmedGroup: Int?
    /// The types of its parameters that were declared to the server; `unknown` for those left to it.
    @exclusivity(unchecked) var declaredTypes: [PostgresType] = []
    /// What the server has said about it on this connection.
    @exclusivity(unchecked) var description: StatementDescription?
    @exclusivity(unchecked) var lastUse = 0

    init(_ statement: PostgresStatement, isNamed: Bool) {
        self.statement = statement
        generation = statement.generation
        name = isNamed ? statement.name : ""
        bindStart = FrontendMessage.bindStart(name)
    }
}
