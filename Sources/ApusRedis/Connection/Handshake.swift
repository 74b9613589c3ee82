import ApusCore

/// The first commands on a connection: the protocol version, authentication, the client's name, the database and, if
/// required, the role of the server. One command at a time.
struct Handshake: Sendable {
    /// What a connection needs before its first command.
    struct Requirements: Sendable {
        var user: String?
        var password: Secret<String>?
        var clientName: String?
        var database = 0
        /// Whether the server must be a primary. Used with Sentinel, whose knowledge may be out of date.
        var requiresPrimary = false
    }

    enum Step: Sendable, Equatable {
        case hello, auth, setName, select, role
    }

    enum Outcome {
        /// The next command.
        case send(RedisCommand)
        case done
        case failed(ConnectionFailure)
    }

    private let requirements: Requirements
    private var step = Step.hello
    /// Whether the server speaks RESP3.
    private(set) var usesRESP3 = true

    init(_ requirements: Requirements) { self.requirements = requirements }

    /// Returns the first command.
    mutating func start() -> RedisCommand {
        step = .hello
        var command = RedisCommand("HELLO")
        command.append(3)
        if let password = requirements.password {
            command.append("AUTH")
            command.append(requirements.user ?? "default")
            command.append(password.reveal())
        }
        if let name = requirements.clientName {
            command.append("SETNAME")
            command.append(name)
        }
        return command
    }

    mutating func received(_ reply: RedisValue) -> Outcome {
        switch (step, reply) {
        case (.hello, .error(let error)) where Self.isUnknownCommand(error):
            // Only this answer proves that the server is older than version 6. Others, such as a refused password, are
            // about this client, and would be answered the same over RESP2.
            usesRESP3 = false
            return next(after: .hello)
        case (.setName, .error): return next(after: .setName)
        // A user who may not ask relies on the sentinels, and on the refusal of writes by a replica.
        case (.role, .error(let error)) where error.code == "NOPERM" || Self.isUnknownCommand(error):
            return next(after: .role)
        case (_, .error(let error)): return .failed(.refused(error))
        case (.role, let reply):
            guard reply.elements?.first?.isText("master") == true else { return .failed(.notPrimary) }
            return next(after: .role)
        case (.hello, _), (.auth, _), (.setName, _), (.select, _): return next(after: step)
        }
    }

    private mutating func next(after finished: Step) -> Outcome {
        switch finished {
        case .hello where !usesRESP3:
            guard let password = requirements.password else { return next(after: .auth) }
            var command = RedisCommand("AUTH")
            if let user = requirements.user { command.append(user) }
            command.append(password.reveal())
            return send(.auth, command)
        case .auth:
            guard let name = requirements.clientName else { return next(after: .setName) }
            var command = RedisCommand("CLIENT")
            command.append("SETNAME")
            command.append(name)
            return send(.setName, command)
        case .hello, .setName:
            guard requirements.database != 0 else { return next(after: .select) }
            var command = RedisCommand("SELECT")
            command.append(requirements.database)
            return send(.select, command)
        case .select:
            guard requirements.requiresPrimary else { return .done }
            return send(.role, RedisCommand("ROLE"))
        case .role: return .done
        }
    }

    private mutating func send(_ step: Step, _ command: RedisCommand) -> Outcome {
        self.step = step
        return .send(command)
    }

    private static func isUnknownCommand(_ error: RedisError) -> Bool {
        // NOPROTO: the server knows HELLO but not this version of the protocol.
        error.code == "NOPROTO"
            || error.code == "ERR" && error.message.asciiLowercased.starts(withBytesOf: "unknown command")
    }
}
