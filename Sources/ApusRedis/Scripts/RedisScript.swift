import Crypto

/// A Lua script that runs on the server, as one atomic step.
///
/// ```swift
/// let takeToken = RedisScript("""
///     local left = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
///     if left <= 0 then return 0 end
///     redis.call('SET', KEYS[1], left - 1, 'PX', ARGV[2])
///     return left
///     """)
/// let left = try await redis.run(takeToken, keys: ["tokens:42"], arguments: [10, 60_000], as: Int.self)
/// ```
///
/// The server keeps scripts that it has run: only the digest of the script is sent, and the text if the server does not
/// know it. A script must name all keys that it uses, so that a cluster finds the server.
public struct RedisScript: Sendable, Hashable {
    /// The text.
    public let source: String
    /// The SHA-1 digest of the text in hexadecimal digits, by which the server knows the script.
    public let digest: String

    /// Creates a script.
    public init(_ source: String) {
        self.source = source
        digest = Insecure.SHA1.hash(data: Array(source.utf8)).reduce(into: "") { text, byte in
            if byte < 16 { text += "0" }
            text += String(byte, radix: 16)
        }
    }

    /// The command that runs the script by its digest. It fails with `NOSCRIPT` if the server does not know it, so it
    /// must not be used in a group of commands, where it would be too late to send the text.
    func evaluateByDigest(_ keys: [String], _ arguments: [any RedisEncodable]) -> RedisCommand {
        command(RedisCommand("EVALSHA"), digest, keys, arguments)
    }

    /// The command that runs the script by its text, for transactions and pipelines.
    /// - Parameters:
    ///   - keys: All keys that the script uses, `KEYS` in the script.
    ///   - arguments: Its other arguments, `ARGV` in the script.
    public func command(keys: [String], arguments: [any RedisEncodable] = []) -> RedisCommand {
        command(RedisCommand("EVAL"), source, keys, arguments)
    }

    private func command(
        _ name: RedisCommand, _ script: String, _ keys: [String], _ arguments: [any RedisEncodable]
    ) -> RedisCommand {
        var command = name
        command.append(script)
        command.append(keys.count)
        command.append(keys: keys)
        for argument in arguments { argument.encode(into: &command) }
        return command
    }
}

extension RedisCommands {
    /// Runs a script.
    /// - Parameters:
    ///   - keys: All keys that the script uses, `KEYS` in the script.
    ///   - arguments: Its other arguments, `ARGV` in the script.
    /// - Throws: The errors of ``send(_:)``.
    public func run(
        _ script: RedisScript, keys: [String], arguments: [any RedisEncodable] = []
    ) async throws -> RedisValue {
        do {
            return try await send(script.evaluateByDigest(keys, arguments))
        } catch let error as RedisError where error.request == .sendScript {
            // The server did not run anything: it does not know the script.
            return try await send(script.command(keys: keys, arguments: arguments))
        }
    }

    /// Runs a script and converts its reply.
    public func run<Value: RedisDecodable>(
        _ script: RedisScript, keys: [String], arguments: [any RedisEncodable] = [], as type: Value.Type
    ) async throws -> Value {
        try Value(redis: try await run(script, keys: keys, arguments: arguments))
    }
}
