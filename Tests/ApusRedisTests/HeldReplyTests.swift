import ApusCore
import NIOCore
import Testing

@testable import ApusRedis

/// Tasks that end before their replies, while the server holds them. Nothing here depends on time.
@Suite(.timeLimit(.minutes(1))) struct HeldReplyTests {
    /// Replies to GET with the key, but not before the test says so.
    @Sendable private static func holdingGets(_ words: [String]) -> ScriptedServer.Reply {
        switch words.first {
        case "HELLO": .ready
        case "GET": .held("+\(words[1])\r\n")
        default: .bytes("+OK\r\n")
        }
    }

    @Test func `A deadline never shifts the replies of others`() async throws {
        try await withScriptedServer({ _, _ in }, Self.holdingGets) { redis, server, _ in
            let patient = (0..<10).map { index in Task { try await redis.get("patient\(index)") } }
            let hasty = (0..<10).map { index in
                Task { try await withDeadline(.after(.milliseconds(50))) { try await redis.get("hasty\(index)") } }
            }
            let late = (0..<10).map { index in Task { try await redis.get("late\(index)") } }
            for task in hasty {
                let error = await #expect(throws: AppError.self) { try await task.value }
                #expect(error?.code == .deadlineExceeded)
            }
            // On a slow machine, some of the hasty ones have not been written at all.
            await server.waitUntil { commands in
                let keys = commands.filter { $0.first == "GET" }.map { $0[1] }
                return keys.count { !$0.hasPrefix("hasty") } == 20
            }
            server.release()
            for (index, task) in patient.enumerated() {
                let value = try await task.value
                #expect(value == "patient\(index)")
            }
            for (index, task) in late.enumerated() {
                let value = try await task.value
                #expect(value == "late\(index)")
            }
            let next = try await redis.get("next")
            #expect(next == "next")
        }
    }

    @Test func `A cancelled command does not wait for its reply, which nobody else gets`() async throws {
        try await withScriptedServer({ _, _ in }, Self.holdingGets) { redis, server, _ in
            let cancelled = Task { try await redis.get("cancelled") }
            await server.wait(for: "GET")
            let other = Task { try await redis.get("other") }
            await server.wait(for: "GET", count: 2)
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            server.release()
            let value = try await other.value
            #expect(value == "other")
        }
    }

    @Test func `A client that is closed waits for the replies of what was sent`() async throws {
        try await withScriptedServer({ _, _ in }, Self.holdingGets) { redis, server, _ in
            let sent = Task { try await redis.get("sent") }
            await server.wait(for: "GET")
            let closing = Task { await redis.close() }
            server.release()
            let value = try await sent.value
            #expect(value == "sent")
            await closing.value
            let error = await #expect(throws: AppError.self) { try await redis.get("late") }
            #expect(error?.code == .unavailable)
        }
    }

    @Test func `A large command does not delay small ones`() async throws {
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            switch words.first {
            case "HELLO": .ready
            case "SET": .held("+OK\r\n")
            default: .bytes("+small\r\n")
            }
        }
        try await withScriptedServer({ _, _ in }, reply) { redis, server, _ in
            let large = Task { try await redis.set("large", ByteBuffer(repeating: 1, count: 100_000)) }
            await server.wait(for: "SET")
            let small = try await redis.get("a")
            #expect(small == "small")
            server.release()
            let wasSet = try await large.value
            #expect(wasSet)
        }
    }

    // MARK: Waiting for connections

    @Test func `A task that is cancelled while the map of the cluster is read does not wait for it`() async throws {
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { $0.first == "HELLO" ? .ready : .nothing }
        try await withScriptedServer({ $0.topology = .cluster([$1.endpoint]) }, reply) { redis, server, _ in
            let cancelled = Task { try await redis.get("a") }
            await server.wait(for: "CLUSTER")
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
        }
    }

    @Test func `A task that is cancelled while its dedicated connection is opened does not wait for it`() async throws {
        try await withScriptedServer({ _, _ in }, { _ in .nothing }) { redis, server, _ in
            let cancelled = Task { try await redis.blpop("queue") }
            await server.wait(for: "HELLO")
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
        }
    }

    @Test func `The place of a task whose deadline passes while it waits for a dedicated connection is not lost`()
        async throws
    {
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { $0.first == "HELLO" ? .ready : .bytes("+OK\r\n") }
        try await withScriptedServer({ configuration, _ in configuration.dedicatedConnections = 1 }, reply) {
            redis, _, _ in
            let ping = RedisCommand("PING")
            await withTaskGroup { group in
                for _ in 0..<40 {
                    group.addTask { _ = try? await redis.blocking(ping) }
                    // Its place is granted at about its deadline.
                    group.addTask {
                        _ = try? await withDeadline(.after(.milliseconds(11))) { try await redis.blocking(ping) }
                    }
                }
            }
            let last = try await redis.blocking(ping)
            #expect(last == RedisValue("OK"))
        }
    }

    // MARK: Subscriptions

    @Test func `A subscription that is left and made again at once is confirmed by its own confirmation`() async throws
    {
        func confirmation(_ name: String, _ count: Int) -> String {
            ">3\r\n$\(name.utf8.count)\r\n\(name)\r\n$1\r\nc\r\n:\(count)\r\n"
        }
        let (subscribed, left) = (confirmation("ssubscribe", 1), confirmation("sunsubscribe", 0))
        let reply: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            switch words.first {
            case "HELLO": .ready
            case "SSUBSCRIBE": .held(subscribed)
            default: .held(left)
            }
        }
        try await withScriptedServer({ _, _ in }, reply) { redis, server, _ in
            let first = Task { try await redis.subscribe(toSharded: "c") }
            await server.wait(for: "SSUBSCRIBE")
            first.cancel()
            await #expect(throws: CancellationError.self) { try await first.value }
            await server.wait(for: "SUNSUBSCRIBE")
            let second = Task { try await redis.subscribe(toSharded: "c") }
            await server.wait(for: "SSUBSCRIBE", count: 2)
            server.release()
            let messages = try await second.value
            server.write(">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n")
            var iterator = messages.makeAsyncIterator()
            let event = try await iterator.next()
            #expect(event == .message(channel: "c", ByteBuffer(string: "hello")))
        }
    }
}
