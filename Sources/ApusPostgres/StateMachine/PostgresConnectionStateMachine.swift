import ApusCore
import ApusData
import Crypto
import NIOCore

/// Decides what is sent on a connection and what the server's messages mean, without doing any I/O.
///
/// What is to be sent is appended to ``output``. The server answers requests strictly in the order in which they were
/// written; each request has a slot in a queue, which it keeps when the task that has asked is gone. A violation of the
/// protocol ends the connection, because no later answer could be trusted to belong to its request.
///
/// `Token` identifies who waits for an answer.
struct PostgresConnectionStateMachine<Token> {
    enum Action {
        case none
        /// Derive the key away from the event loop and pass it to ``derived(_:)``.
        indirect case deriveKey(SCRAM.KeyRequest)
        /// The connection accepts requests.
        case started
        /// A request was answered.
        case answered(Slot<Token>)
        /// Requests that share their fate were answered.
        case answeredGroup([Slot<Token>])
        // Indirect, so that what is rare and large does not make what is common larger.
        /// Data of a COPY may be sent.
        case copyIn(Token?)
        indirect case copyOut(Token?, ByteBuffer)
        indirect case notification(PostgresNotification)
        indirect case notice(PostgresError)
        /// The connection must be closed, and these who wait must be told.
        indirect case failed(AppError, [(Token, AppError)])
    }

    struct Options {
        var user = ""
        var password: Secret<String>?
        var channelBinding = PostgresConfiguration.ChannelBinding.prefer
        /// The parameters of the startup message, with the user and the database.
        var parameters: [(name: String, value: String)] = []
        /// Whether statements stay prepared on the server. Without, each execution prepares its statement.
        var preparesStatements = true
        /// The maximum number of statements that are prepared on the connection.
        var preparedStatements = 256
        /// The nonce of SCRAM, for tests. By default it is random.
        var nonce: String?
    }

    enum State {
        case initial
        // Indirect, so that it does not make the state larger, which each message looks at.
        indirect case authenticating(Authentication)
        /// Authenticated, but not yet ready.
        case starting
        case ready
        case ended
    }

    var options: Options
    /// What authentication can be bound to, which is known when the connection is encrypted.
    var binding = SCRAM.ChannelBinding.unsupported
    /// Whether nobody else can read the connection: it is encrypted, or does not leave the machine.
    var isConfidential = false
    var state = State.initial
    /// The bytes to send.
    var output = ByteBuffer()
    var prepared: PreparedStatements
    /// The requests whose answers have not begun.
    var queue = CircularBuffer<Slot<Token>>()
    /// The request that is being answered.
    var progress: Slot<Token>?
    /// The requests of the current group that were answered before ``progress``.
    var answeredInGroup: [Slot<Token>] = []
    /// The names that are no longer used, but are still prepared on the server: it has skipped the requests to close them.
    var unclosed: [String] = []
    /// The number of the group that is being written, or is written next.
    var currentGroup = 0
    /// How many COPY were written and not completely answered.
    var copies = 0
    var unansweredBytes = 0
    var status = TransactionStatus.idle
    var backendKey: BackendKey?
    /// The parameters that the server reports, such as `server_version` and `in_hot_standby`.
    var parameters: [String: String] = [:]
    /// Whether the connection must not be used for further requests, because its server is about to end or has become a
    /// standby.
    var isCondemned = false
    /// Whether the transaction was begun as one that only reads.
    var isTransactionReadOnly = false
    /// Whether a cancel request is on its way. It may hit another statement than the one it was meant for.
    var isCancelling = false

    init(_ options: Options) {
        self.options = options
        prepared = PreparedStatements(capacity: options.preparedStatements)
    }

    /// The number of requests that were written and not completely answered.
    var unansweredCount: Int { queue.count + answeredInGroup.count + (progress == nil ? 0 : 1) }

    /// Whether a COPY is under way whose data somebody sends or reads.
    var isCopying: Bool { copies > 0 && progress?.isAbandoned != true }

    /// Whether requests are accepted.
    var isReady: Bool { if case .ready = state { true } else { false } }

    var hasEnded: Bool { if case .ended = state { true } else { false } }

    // MARK: Starting

    /// Begins the connection.
    mutating func start() {
        FrontendMessage.startup(options.parameters, to: &output)
        state = .authenticating(
            Authentication(
                user: options.user, password: options.password, channelBinding: options.channelBinding,
                binding: binding,
                isConfidential: isConfidential, nonce: options.nonce))
    }

    /// Called with the key that was asked for.
    mutating func derived(_ saltedPassword: SymmetricKey) {
        guard case .authenticating(var authentication) = state else { return }
        authentication.derived(saltedPassword, to: &output)
        state = .authenticating(authentication)
    }

    // MARK: Ending

    /// Ends the connection.
    /// - Parameter error: The reason.
    /// - Returns: Who waits for an answer, with the error for each.
    mutating func end(_ error: AppError) -> [(Token, AppError)] {
        guard !hasEnded else { return [] }
        state = .ended
        isCondemned = true
        var waiting: [(Token, AppError)] = []
        // The server may have reported an error before it ended the connection.
        var reported = progress?.error
        var group: [Slot<Token>] = []
        for slot in answeredInGroup + [progress].compactMap(\.self) + Array(queue) {
            group.append(slot)
            guard slot.endsGroup else { continue }
            waiting += failures(of: group, error, reported)
            (group, reported) = ([], nil)
        }
        waiting += failures(of: group, error, reported)
        answeredInGroup = []
        progress = nil
        queue = []
        unansweredBytes = 0
        return waiting
    }

    /// Returns the errors of requests that share their fate and were not answered.
    /// - Parameter reported: The error that the server has reported for one of them.
    private func failures(
        of group: [Slot<Token>], _ error: AppError, _ reported: PostgresError?
    ) -> [(Token, AppError)] {
        var error = reported.map { AppError(postgres: $0) } ?? error
        // An error that did not end the connection has ended the transaction.
        let hasFailed = reported?.isFatal == false
        if !hasFailed, group.contains(where: mayHaveCommitted) { error = Self.unknownOutcome(error) }
        return group.compactMap { slot in
            slot.waiting.map { ($0, error) }
        }
    }

    /// Whether a request whose answer was lost may have changed something for good.
    private func mayHaveCommitted(_ slot: Slot<Token>) -> Bool {
        switch slot.kind {
        case .commit: return true
        case .statement(let prepared): return slot.commitsAlone && !prepared.statement.isRead
        // The data was not complete before it was ended.
        case .copyIn: if case .ended = slot.copy { return slot.commitsAlone } else { return false }
        case .simple, .copyOut: return false
        }
    }

    private static func unknownOutcome(_ error: AppError) -> AppError {
        AppError(
            .unknown, "The connection was lost while the changes were saved, so it is unknown whether they were.",
            cause: error)
    }

    mutating func fail(_ error: AppError) -> Action { .failed(error, end(error)) }

    /// Drops the answer of a request whose task is gone. The request keeps its slot.
    mutating func abandon(where isMatch: (Token) -> Bool) {
        if let progress, let token = progress.token, isMatch(token) {
            progress.isAbandoned = true
            progress.dropRows()
        }
        for slot in answeredInGroup { if let token = slot.token, isMatch(token) { slot.isAbandoned = true } }
        for slot in queue { if let token = slot.token, isMatch(token) { slot.isAbandoned = true } }
    }

    /// Who has asked for the request that the server works on next, if the task is gone.
    var abandonedHead: Token? {
        guard let slot = progress ?? queue.first, slot.isAbandoned else { return nil }
        return slot.token
    }

    /// Whether a request is the one that the server works on, or the first of its group that somebody waits for.
    func isHead(where isMatch: (Token) -> Bool) -> Bool {
        if let slot = progress {
            if let token = slot.token { return isMatch(token) }
            if slot.endsGroup { return false }
        }
        for slot in queue {
            if let token = slot.token { return isMatch(token) }
            if slot.endsGroup { return false }
        }
        return false
    }
}

/// A notification that another session has sent.
struct PostgresNotification: Equatable, Sendable {
    let channel: String
    let payload: String
    /// The server process of the session that has sent it.
    let process: UInt32
}
