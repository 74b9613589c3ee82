import ApusCore
import ApusRedis
import Testing

/// Servers that violate the protocol, stall or close at the worst moment.
@Suite struct ScriptedServerTests {
    private func error(_ operation: () async throws -> Void) async -> AppError? {
        do {
            try await operation()
            return nil
        } catch {
            return AppError(wrapping: error)
        }
    }

    @Test func `Another protocol is recognised, and named in the log`() async throws {
        try await withScriptedServer({ _, _ in }, { _ in .bytes("HTTP/1.1 400 Bad Request\r\n\r\n") }) {
            redis, _, lines in
            let error = await error { _ = try await redis.get("a") }
            #expect(error?.code == .unavailable && error?.details.reason == .redisUnavailable)
            #expect(lines.all.first?.contains("violated the protocol") == true, "\(lines.all)")
        }
    }

    @Test func `A server that does not answer the handshake is given up`() async throws {
        try await withScriptedServer(
            { configuration, _ in configuration.connectTimeout = .milliseconds(50) }, { _ in .nothing }
        ) { redis, _, _ in
            let error = await error { _ = try await redis.get("a") }
            #expect(error?.code == .unavailable && error?.details.reason == .redisUnavailable)
        }
    }

    @Test func `A server that stops answering is given up, and everyone who waits is told`() async throws {
        let change: (inout RedisConfiguration, ScriptedServer) -> Void = { configuration, _ in
            configuration.responseTimeout = .milliseconds(300)
        }
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            switch words.first {
            case "HELLO": .ready
            case "PING": .bytes("+PONG\r\n")
            default: .nothing
            }
        }
        try await withScriptedServer(change, reply) { redis, _, lines in
            try await eventually { try await redis.ping() }
            await withTaskGroup { group in
                for _ in 0..<10 { group.addTask { await error { _ = try await redis.get("a") } } }
                for await error in group {
                    #expect(error?.code == .unavailable && error?.details.reason == .redisConnectionLost)
                }
            }
            #expect(lines.all.contains { $0.contains("does not answer") })
        }
    }

    @Test func `A command that was written is not sent again when the connection ends`() async throws {
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = {
            $0.first == "HELLO" ? .ready : .close
        }
        try await withScriptedServer({ _, _ in }, reply) { redis, server, _ in
            let error = await error { try await redis.incr("n") }
            #expect(error?.code == .unavailable && error?.details.reason == .redisConnectionLost)
            #expect(server.received.filter { $0 == "INCRBY" }.count == 1)
        }
    }

    @Test func `A reply that nothing asked for ends the connection before it can shift another`() async throws {
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            switch words.first {
            case "HELLO": .ready
            case "GET": .bytes("+first\r\n+second\r\n")
            default: .nothing
            }
        }
        try await withScriptedServer({ _, _ in }, reply) { redis, _, lines in
            let first = try await redis.get("a")
            #expect(first == "first")
            try await eventually { lines.all.first?.contains("a reply came without a command") == true }
            let second = try await eventually { try await redis.get("b") }
            #expect(second == "first")
        }
    }

    @Test func `A refused password is not tried again over RESP2`() async throws {
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            words.first == "HELLO" ? .bytes("-WRONGPASS invalid\r\n") : .bytes("+OK\r\n")
        }
        try await withScriptedServer({ configuration, _ in configuration.password = Secret("s3cret") }, reply) {
            redis, server, lines in
            let error = await error { _ = try await redis.get("a") }
            #expect(error?.code == .unavailable)
            #expect(!server.received.contains("AUTH"))
            #expect(lines.all.first?.contains("WRONGPASS") == true && !lines.all.joined().contains("s3cret"))
        }
    }

    @Test func `A server that loads its data is asked again until it has`() async throws {
        let attempts = Counter()
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            guard words.first == "GET" else { return .ready }
            attempts.increment()
            return .bytes(attempts.count < 4 ? "-LOADING Redis is loading the dataset in memory\r\n" : "+value\r\n")
        }
        try await withScriptedServer({ _, _ in }, reply) { redis, server, _ in
            let value = try await redis.get("a")
            #expect(value == "value")
            // Each time over a new connection.
            #expect(server.received.filter { $0 == "HELLO" }.count >= 4)
        }
    }

    @Test func `An endless reply is refused`() async throws {
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            words.first == "HELLO" ? .ready : .bytes("*1000000000\r\n")
        }
        try await withScriptedServer({ _, _ in }, reply) { redis, _, _ in
            let error = await error { _ = try await redis.send(command("KEYS", "*")) }
            #expect(error?.code == .unavailable && error?.details.reason == .redisConnectionLost)
        }
    }
}
