import ApusCore
import NIOCore
import Synchronization
import Testing

@testable import ApusRedis

/// Clusters of two scripted servers, between which slots move at the worst moment.
@Suite(.timeLimit(.minutes(1))) struct ScriptedClusterTests {
    /// The port of the server that has all slots.
    private final class Owner: Sendable {
        private let port = Atomic(0)
        func move(to server: ScriptedServer) { port.store(server.port, ordering: .sequentiallyConsistent) }
        var slots: String {
            "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:\(port.load(ordering: .sequentiallyConsistent))\r\n"
        }
        var moved: String { "-MOVED 1 127.0.0.1:\(port.load(ordering: .sequentiallyConsistent))\r\n" }
    }

    /// Runs a closure with two servers, the first of which has all slots, and a client that asks the second one for them.
    private func withServers(
        _ owner: Owner, first: @escaping @Sendable ([String]) -> ScriptedServer.Reply,
        second: @escaping @Sendable ([String]) -> ScriptedServer.Reply,
        _ body: (RedisClient, _ first: ScriptedServer, _ second: ScriptedServer) async throws -> Void
    ) async throws {
        func withSlots(
            _ reply: @escaping @Sendable ([String]) -> ScriptedServer.Reply
        ) -> @Sendable ([String]) -> ScriptedServer.Reply {
            { words in words.first == "CLUSTER" ? .bytes(owner.slots) : reply(words) }
        }
        try await ScriptedServer.run(withSlots(first)) { first in
            owner.move(to: first)
            try await withScriptedServer({ $0.topology = .cluster([$1.endpoint]) }, withSlots(second)) {
                redis, second, _ in
                try await body(redis, first, second)
                first.closeConnections()
            }
        }
    }

    /// Replies of a server whose slots have moved, except to EXISTS.
    private static func left(_ owner: Owner) -> @Sendable ([String]) -> ScriptedServer.Reply {
        { words in
            switch words.first {
            case "HELLO": .ready
            case "EXISTS": .bytes(":1\r\n")
            default: .bytes(owner.moved)
            }
        }
    }

    @Test func `Blocking commands and WATCH follow a slot that has moved`() async throws {
        let owner = Owner()
        let new: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            switch words.first {
            case "HELLO": .ready
            case "BLPOP": .bytes("*2\r\n$5\r\nqueue\r\n$1\r\nx\r\n")
            case "EXEC": .bytes("*1\r\n:8\r\n")
            case "GET": .bytes("$1\r\n7\r\n")
            default: .bytes("+OK\r\n")
            }
        }
        let old = Self.left(owner)
        try await withServers(owner, first: old, second: new) { redis, first, second in
            // The map is read before the slots move.
            _ = try await redis.exists("a")
            owner.move(to: second)
            let element = try await redis.blpop("queue")
            #expect(element == "x")
            #expect(first.received.contains("BLPOP"))
        }
        try await withServers(owner, first: old, second: new) { redis, first, second in
            _ = try await redis.exists("a")
            owner.move(to: second)
            let replies = try await redis.transaction(watching: ["n"]) { session in
                let value = try await session.get("n")
                #expect(value == "7")
                return [command("INCR", key: "n")]
            }
            #expect(replies == [.integer(8)])
            #expect(first.received.contains("WATCH"))
        }
    }

    @Test func `A server without slots is not believed`() throws {
        let endpoint = RedisEndpoint.tcp(host: "h", port: 1)
        #expect(throws: RedisError.self) { try ClusterSlots.parse(.array([]), from: endpoint) }
    }

    @Test func `A subscriber of a sharded channel whose server is gone for good gets a gap and the end`() async throws {
        let (owner, isGone) = (Owner(), Counter())
        let dying: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            switch words.first {
            case "HELLO": isGone.count == 0 ? .ready : .close
            default: .bytes(">3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n")
            }
        }
        try await withServers(owner, first: dying, second: { _ in .ready }) { redis, first, second in
            var messages = try await redis.subscribe(toSharded: "c").makeAsyncIterator()
            isGone.increment()
            owner.move(to: second)
            first.closeConnections()
            let events = [try await messages.next(), try await messages.next()]
            #expect(events == [.gap, nil])
        }
    }

    @Test func `A sharded channel is subscribed to at the server that the refusal names`() async throws {
        let owner = Owner()
        let new: @Sendable ([String]) -> ScriptedServer.Reply = { words in
            words.first == "HELLO" ? .ready : .bytes(">3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n")
        }
        let old = Self.left(owner)
        try await withServers(owner, first: old, second: new) { redis, first, second in
            _ = try await redis.exists("a")
            owner.move(to: second)
            let messages = try await redis.subscribe(toSharded: "c")
            #expect(first.received.contains("SSUBSCRIBE"))
            second.write(">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n")
            var iterator = messages.makeAsyncIterator()
            let event = try await iterator.next()
            #expect(event == .message(channel: "c", ByteBuffer(string: "hello")))
        }
    }
}
