import ApusCore
import ApusData

/// A group: statements that are written together with one Sync.
extension PendingRequest {
    /// Returns the answer of a group: the results of its statements, or the first error.
    /// - Parameter slots: The requests that were answered, with those that begin a transaction.
    func groupAnswer(_ slots: [Slot<PendingRequest>]) -> Result<StatementResult, AppError> {
        var result = StatementResult()
        result.group.reserveCapacity(statements.count)
        for slot in slots where slot.token === self {
            if slot.hasFailed, let failure = slot.failure { return .failure(failure) }
            slot.takeResults(&result)
        }
        return .success(result)
    }

    /// Whether a statement of the group is not known to be fast.
    var hasUnprovenStatement: Bool { statements.contains { $0.speed != .fast } }

    /// Records that all statements of the group together were fast.
    func groupWasFast() {
        for statement in statements where statement.speed == .unknown { statement.speed = .fast }
    }
}

extension LoopStatements {
    /// Returns the statements of a group, which are often the same one with other values.
    func statements(_ group: [SQL]) throws(AppError) -> [PostgresStatement] {
        var statements: [PostgresStatement] = []
        statements.reserveCapacity(group.count)
        for index in group.indices {
            let isRepeated = index > 0 && group[index].template == group[index - 1].template
            statements.append(isRepeated ? statements[index - 1] : try statement(group[index].template))
        }
        return statements
    }
}

extension PostgresConnection {
    func submit(_ request: PendingRequest, group: [SQL]) throws(AppError) {
        if request.statements.isEmpty { request.statements = try statements.statements(group) }
        let statements = request.statements
        for index in group.indices {
            try statements[index].checkUse()
            try ValueEncoder.validate(group[index].values)
        }
        guard try joinTransaction(request) else { return }
        machine.send(group: group, statements, token: request)
        if request.hasUnprovenStatement { noteUnproven(request) }
    }
}
