import ApusCore
import ApusData
import NIOCore

extension PostgresConnectionStateMachine {
    /// Called with each message of the server.
    mutating func received(_ message: BackendMessage) -> Action {
        do {
            switch state {
            case .ready: return try receivedAnswer(message)
            case .authenticating, .starting: return try receivedWhileStarting(message)
            case .initial: throw ProtocolViolation("The server has sent something before it was asked.")
            case .ended: return .none
            }
        } catch let error as AppError {
            return fail(error)
        } catch {
            return fail(AppError(.unavailable, "The database has violated its protocol.", cause: error))
        }
    }

    // MARK: Starting

    private mutating func receivedWhileStarting(_ message: BackendMessage) throws -> Action {
        switch (message.kind, state) {
        case (.authentication, .authenticating(var authentication)):
            let action = try authentication.received(message.body, to: &output)
            state = .authenticating(authentication)
            switch action {
            case .none: return .none
            case .deriveKey(let request): return .deriveKey(request)
            case .succeeded: state = .starting
            }
        case (.backendKeyData, .starting):
            var body = message.body
            guard let process = body.readInteger(as: UInt32.self), let secret = body.readInteger(as: UInt32.self) else {
                throw message.malformed
            }
            backendKey = BackendKey(process: process, secret: secret)
        case (.readyForQuery, .starting):
            try readStatus(message)
            state = .ready
            return .started
        case (.parameterStatus, .starting): try readParameter(message)
        case (.noticeResponse, _): return .notice(try readError(message))
        case (.errorResponse, _): return fail(Self.startupError(try readError(message)))
        case (.negotiateProtocolVersion, _):
            throw ProtocolViolation("The server does not know protocol version 3.0.")
        default: throw message.unexpected
        }
        return .none
    }

    private static func startupError(_ error: PostgresError) -> AppError {
        switch error.sqlState {
        case _ where error.sqlState.starts(withBytesOf: "28"):
            AppError(.internal, "The database has rejected the user or the password.", cause: error)
        case "3D000": AppError(.internal, "The database does not exist.", cause: error)
        case _ where error.condemnsConnection || error.sqlState.starts(withBytesOf: "53"):
            AppError(.unavailable, "The database does not accept connections at the moment.", cause: error)
        default: AppError(postgres: error)
        }
    }

    // MARK: Answers

    private mutating func receivedAnswer(_ message: BackendMessage) throws -> Action {
        switch message.kind {
        case .notificationResponse: return .notification(try readNotification(message))
        case .parameterStatus:
            try readParameter(message)
            return .none
        case .noticeResponse: return .notice(try readError(message))
        case .errorResponse: return try receivedError(message)
        default: break
        }
        guard let current = progress ?? queue.popFirst() else { throw message.unexpected }
        if progress == nil { begin(current) }
        switch message.kind {
        case .dataRow: try current.receivedRow(message)
        case .bindComplete: try current.receivedBindComplete(message)
        case .commandComplete, .emptyQueryResponse: try receivedCompletion(message, current)
        case .readyForQuery:
            try readStatus(message)
            return try endGroup(message, current)
        case .parseComplete: try current.receivedParseComplete(message)
        case .closeComplete: break
        case .parameterDescription: try current.receivedParameterDescription(message)
        case .rowDescription: try current.receivedColumns(try ColumnDescription(message), message)
        case .noData: try current.receivedColumns(.none, message)
        case .copyInResponse, .copyOutResponse, .copyData, .copyDone: return try receivedCopy(message)
        default: throw message.unexpected
        }
        return .none
    }

    private mutating func begin(_ slot: Slot<Token>) {
        slot.begin()
        progress = slot
    }

    private mutating func receivedCompletion(_ message: BackendMessage, _ current: Slot<Token>) throws {
        try current.receivedCompletion(message)
        // The next request of the group is answered without a ReadyForQuery in between.
        if current.isComplete, !current.endsGroup {
            answeredInGroup.append(current)
            progress = nil
        }
    }

    // MARK: Errors

    private mutating func receivedError(_ message: BackendMessage) throws -> Action {
        var error = try readError(message)
        error.isInReadOnlyTransaction = isTransactionReadOnly
        if error.condemnsConnection { isCondemned = true }
        guard progress != nil || !queue.isEmpty else {
            // The server ends an idle connection, for example because it shuts down.
            guard error.isFatal else { throw message.unexpected }
            return fail(AppError(postgres: error))
        }
        if progress == nil, let slot = queue.popFirst() { begin(slot) }
        guard let current = progress, !current.hasError else { throw message.unexpected }
        current.end(error)
        if error.isFatal {
            return fail(AppError(.unavailable, "The connection to the database was lost.", cause: error))
        }
        return .none
    }

    /// Called at ReadyForQuery. All requests of the group are answered, or failed together.
    private mutating func endGroup(_ message: BackendMessage, _ current: Slot<Token>) throws -> Action {
        guard current.isComplete || current.hasError else { throw message.unexpected }
        if current.isCopy { copies -= 1 }
        guard current.hasError, let error = current.error else {
            guard current.endsGroup else { throw message.unexpected }
            progress = nil
            return answer(current)
        }
        let failedIndex = answeredInGroup.count
        var slots = answeredInGroup + [current]
        while slots.last?.endsGroup == false, let next = queue.popFirst() { slots.append(next) }
        answeredInGroup = []
        progress = nil
        for slot in slots { unansweredBytes -= slot.bytes }
        forgetUnprepared(slots, current, at: failedIndex)
        let isInvalidated = forgetIfInvalid(current, error)
        // A transaction that could not begin is not tried again here: other statements may already be written behind
        // it. Nobody waits for its first statement.
        if status == .idle, !current.isRetry, !current.isAbandoned, slots.allSatisfy({ $0.token != nil }),
            isInvalidated || isMisdirectedCancel(current, error)
        {
            retry(slots, failedAt: failedIndex)
            return .none
        }
        let failure: AppError
        if isInvalidated, !current.isRetry {
            failure = AppError(
                .aborted, "The transaction must be repeated, because a table has changed.",
                cause: ChangedTable(error: error))
        } else {
            failure = AppError(postgres: error)
        }
        for slot in slots { slot.fail(failure) }
        return slots.count == 1 ? .answered(current) : .answeredGroup(slots)
    }

    private mutating func answer(_ current: Slot<Token>) -> Action {
        unansweredBytes -= current.bytes
        if case .commit = current.kind, current.isRollback {
            current.fail(
                AppError(.aborted, "The transaction was rolled back, because one of its statements had failed."))
        }
        guard !answeredInGroup.isEmpty else { return .answered(current) }
        var slots = answeredInGroup
        answeredInGroup = []
        for slot in slots { unansweredBytes -= slot.bytes }
        slots.append(current)
        return .answeredGroup(slots)
    }

    /// Forgets the statements that were to be prepared, but were not because of the error, and remembers those that were to
    /// be closed.
    private mutating func forgetUnprepared(_ slots: [Slot<Token>], _ current: Slot<Token>, at failedIndex: Int) {
        for (index, slot) in slots.enumerated() where index >= failedIndex {
            if index > failedIndex { unclosed += slot.closed }
            guard slot.parses, case .statement(let statement) = slot.kind else { continue }
            if index > failedIndex || !current.hasParsed { prepared.remove(statement) }
        }
    }

    /// Forgets a prepared statement that the server no longer accepts, for example because a table has changed. The
    /// server would report the same error for ever.
    /// - Returns: Whether the error is of that kind. The statement was not executed then.
    private mutating func forgetIfInvalid(_ current: Slot<Token>, _ error: PostgresError) -> Bool {
        guard case .statement(let statement) = current.kind, !current.hasBound else { return false }
        switch error.sqlState {
        case "0A000", "26000": guard !current.parses else { return false }
        case "42P05": guard current.parses else { return false }
        // The formats or types were those of an earlier version of the table.
        case "08P01", "42704": guard current.parses, current.requested != nil else { return false }
        case "42883", "42804", "42846":
            guard !current.parses || current.requested != nil else { return false }
        // The server cannot infer the type of a number.
        case "42P18", "42725":
            guard current.parses, !statement.statement.declaresNumbers,
                current.values.contains(where: \.isNumber)
            else { return false }
            statement.statement.declaresNumbers = true
        default: return false
        }
        statement.statement.forget(generation: statement.generation)
        return true
    }

    /// Whether a statement was hit by the cancellation of another one. It had no effect.
    private func isMisdirectedCancel(_ current: Slot<Token>, _ error: PostgresError) -> Bool {
        guard case .statement = current.kind else { return false }
        return error.sqlState == "57014" && isCancelling && !current.isAbandoned
    }
}

extension SQLValue {
    fileprivate var isNumber: Bool {
        switch self {
        case .integer, .real: true
        case .null, .text, .blob, .timestamp: false
        }
    }
}
