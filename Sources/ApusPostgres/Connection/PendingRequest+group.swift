import ApusCore
import ApusData

/// A group: statements that are written together with one Sync.
extension PendingRequest {
    /// The answer of a group: the results of its statements, or the first error.
    static func groupAnswer(
        _ answers: [PostgresConnection.Machine.Answer]
    ) -> PostgresConnection.Machine.Answer {
        var result = StatementResult()
        result.group.reserveCapacity(answers.count)
        for answer in answers {
            switch answer {
            case .success(let part): result.group.append(part)
            case .failure(let error): return .failure(error)
            }
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

extension PostgresConnection {
    func submit(
        _ request: PendingRequest, group: [(text: String, values: [SQLValue])]
    ) throws(AppError) {
        if request.statements.isEmpty { request.statements = group.map { statements.statement($0.text) } }
        for (statement, part) in zip(request.statements, group) {
            try statement.checkUse()
            try ValueEncoder.validate(part.values)
        }
        guard try joinTransaction(request) else { return }
        let parts = zip(request.statements, group).map { statement, part in
            (statement, part.values, keepsPrepared: part.text.utf8.count <= LoopStatements.maximumLength)
        }
        try machine.send(group: parts, token: request)
        if request.hasUnprovenStatement { noteUnproven(request) }
    }
}
