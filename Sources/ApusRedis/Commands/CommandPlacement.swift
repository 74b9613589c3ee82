import ApusCore

/// Which connection a command needs.
///
/// Replies are paired with commands by their order alone. On a connection that all tasks share, `SUBSCRIBE` would take the
/// reply of the next command, and `SELECT` would change the database of everyone.
enum CommandPlacement: Sendable {
    /// Any connection.
    case shared
    /// A connection that nothing else uses meanwhile, because it blocks.
    case blocking
    /// One that the client manages, by what the text names instead.
    case managed(String)

    private static let subscription = managed("Subscribe by RedisClient.subscribe(to:).")
    private static let transaction = managed(
        "Use RedisClient.transaction(_:) or RedisClient.transaction(watching:_:).")
    private static let setting = managed("Set it in the RedisConfiguration.")
    private static let unsupported = managed("It changes how a connection answers, which this client does not support.")

    private static let all: [String: CommandPlacement] = [
        "subscribe": subscription, "psubscribe": subscription, "ssubscribe": subscription, "unsubscribe": subscription,
        "punsubscribe": subscription, "sunsubscribe": subscription, "multi": transaction, "exec": transaction,
        "discard": transaction, "watch": transaction, "unwatch": transaction, "select": setting, "auth": setting,
        "hello": setting, "monitor": unsupported, "sync": unsupported, "psync": unsupported, "replconf": unsupported,
        "reset": unsupported, "quit": unsupported, "asking": unsupported, "readonly": unsupported,
        "readwrite": unsupported, "client": unsupported, "blpop": blocking, "brpop": blocking, "brpoplpush": blocking,
        "blmove": blocking, "blmpop": blocking, "bzpopmin": blocking, "bzpopmax": blocking, "bzmpop": blocking,
        "wait": blocking, "waitaof": blocking, "xread": blocking, "xreadgroup": blocking,
    ]

    /// For each first letter, a bit for each length of a name. Nearly all commands are told from those above by it, at the
    /// cost of two comparisons.
    private static let lengths: [UInt32] = {
        var lengths = [UInt32](repeating: 0, count: 26)
        for name in all.keys {
            if let first = name.utf8.first { lengths[Int(first - UInt8(ascii: "a"))] |= 1 << UInt32(name.utf8.count) }
        }
        return lengths
    }()

    fileprivate static func of(_ command: RedisCommand) -> CommandPlacement {
        let range = command.nameRange
        guard !range.isEmpty else { return .shared }
        let letter = Int(command.words[range.lowerBound] | 0x20) - Int(UInt8(ascii: "a"))
        guard lengths.indices.contains(letter), range.count < 32, lengths[letter] & 1 << UInt32(range.count) != 0,
            let placement = all[command.name.asciiLowercased]
        else { return .shared }
        return isOrdinary(command) ? .shared : placement
    }

    /// Whether the arguments make a command one like others: only one of `CLIENT` and some of `XREAD` are not.
    private static func isOrdinary(_ command: RedisCommand) -> Bool {
        switch command.name.asciiLowercased {
        case "client": command.texts.dropFirst().first?.asciiLowercased != "reply"
        case "xread": !blocks(command.texts.dropFirst())
        // The names of the group and the consumer precede the options.
        case "xreadgroup": !blocks(command.texts.dropFirst(4))
        default: false
        }
    }

    private static func blocks(_ options: ArraySlice<String>) -> Bool {
        options.prefix { $0.asciiLowercased != "streams" }.contains { $0.asciiLowercased == "block" }
    }
}

extension RedisCommand {
    /// Checks that the command may be sent on a connection that all tasks share.
    /// - Throws: An `AppError` with code `invalidArgument` that says what to use instead.
    func requireShareable() throws {
        switch CommandPlacement.of(self) {
        case .shared: break
        case .blocking:
            throw AppError(
                .invalidArgument,
                "\(name) blocks its connection, which other tasks use too. Send it by RedisClient.blocking(_:).")
        case .managed(let instead): throw refused(instead)
        }
    }

    /// Checks that the command may be sent on a connection that one task uses, or inside a transaction, where no command
    /// blocks.
    /// - Throws: An `AppError` with code `invalidArgument` that says what to use instead.
    func requireOrdinary() throws {
        if case .managed(let instead) = CommandPlacement.of(self) { throw refused(instead) }
    }

    private func refused(_ instead: String) -> AppError {
        AppError(.invalidArgument, "\(name) cannot be sent as a command. \(instead)")
    }
}
