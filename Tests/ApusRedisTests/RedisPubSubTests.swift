import ApusCore
import ApusData
import ApusPostgres
import ApusRedis
import ApusTesting
import NIOCore
import Testing

/// The contract of `PubSub`, checked for every implementation.
@Suite struct PubSubContractTests {
    enum Implementation: CaseIterable {
        case memory, redis, postgres

        static var available: [Implementation] {
            allCases.filter { implementation in
                switch implementation {
                case .memory: true
                case .redis: TestRedis.isInstalled
                case .postgres: TestPostgres.isAvailable
                }
            }
        }
    }

    private func withPubSub(
        _ implementation: Implementation, _ body: (any PubSub) async throws -> Void
    ) async throws {
        switch implementation {
        case .memory: try await body(MemoryPubSub())
        case .redis: try await withRedis { redis, _ in try await body(RedisPubSub(redis, prefix: "app:")) }
        case .postgres:
            try await withPostgres { database in
                try await body(PostgresPubSub(database, prefix: "app:", timeout: .seconds(60)))
            }
        }
    }

    @Test(arguments: Implementation.available) func `Each subscriber of a channel gets each message, in order`(
        implementation: Implementation
    ) async throws {
        try await withPubSub(implementation) { pubSub in
            let first = try await pubSub.subscribe(to: "a")
            let second = try await pubSub.subscribe(to: "a")
            let other = try await pubSub.subscribe(to: "b")
            for index in 0..<100 { try await pubSub.publish([UInt8(index), 0, 13, 10], to: "a") }
            try await pubSub.publish([1], to: "b")
            for subscription in [first, second] {
                var iterator = subscription.makeAsyncIterator()
                for index in 0..<100 {
                    #expect(try await iterator.next() == .message([UInt8(index), 0, 13, 10]))
                }
            }
            var iterator = other.makeAsyncIterator()
            #expect(try await iterator.next() == .message([1]))
        }
    }

    @Test(arguments: Implementation.available) func `A slow subscriber gets a gap and then the latest messages`(
        implementation: Implementation
    ) async throws {
        try await withPubSub(implementation) { pubSub in
            let slow = try await pubSub.subscribe(to: "a", capacity: 3)
            let end = try await pubSub.subscribe(to: "end")
            for index in 0..<10 { try await pubSub.publish([UInt8(index)], to: "a") }
            try await pubSub.publish([1], to: "end")
            var iterator = end.makeAsyncIterator()
            _ = try await iterator.next()
            var slowIterator = slow.makeAsyncIterator()
            #expect(try await slowIterator.next() == .gap)
            for index in 7..<10 { #expect(try await slowIterator.next() == .message([UInt8(index)])) }
        }
    }

    @Test(arguments: Implementation.available) func `A cancelled reader ends, and so does a cancelled subscription`(
        implementation: Implementation
    ) async throws {
        try await withPubSub(implementation) { pubSub in
            let subscription = try await pubSub.subscribe(to: "a")
            let reader = Task {
                var iterator = subscription.makeAsyncIterator()
                return try await iterator.next()
            }
            reader.cancel()
            await #expect(throws: CancellationError.self) { try await reader.value }
            subscription.cancel()
            var iterator = subscription.makeAsyncIterator()
            #expect(try await iterator.next() == nil)
            try await pubSub.publish([1], to: "a")
        }
    }

    @Test(arguments: Implementation.available) func `Any bytes arrive, and any name is a channel of its own`(
        implementation: Implementation
    ) async throws {
        try await withPubSub(implementation) { pubSub in
            let names = ["a", "A", "a\"; DROP TABLE x", "a b", "ä", "a\u{308}"]
            var subscriptions: [PubSubSubscription] = []
            for name in names { subscriptions.append(try await pubSub.subscribe(to: name)) }
            let messages: [[UInt8]] = [[], [0], [255, 254], Array("t text, 'quoted', ü".utf8), Array(0...255)]
            for (index, name) in names.enumerated() {
                for message in messages { try await pubSub.publish(message + [UInt8(index)], to: name) }
                try await pubSub.publish([], to: name)
            }
            for (index, subscription) in subscriptions.enumerated() {
                var iterator = subscription.makeAsyncIterator()
                for message in messages { #expect(try await iterator.next() == .message(message + [UInt8(index)])) }
                #expect(try await iterator.next() == .message([]))
            }
        }
    }

    @Test(arguments: Implementation.available) func `Listening begins with a gap, and goes on with messages`(
        implementation: Implementation
    ) async throws {
        try await withPubSub(implementation) { pubSub in
            let (events, output) = AsyncStream.makeStream(of: PubSubEvent.self)
            try await withThrowingTaskGroup { group in
                group.addTask { try await pubSub.listen(to: "a") { output.yield($0) } }
                var iterator = events.makeAsyncIterator()
                #expect(await iterator.next() == .gap)
                try await pubSub.publish([1], to: "a")
                #expect(await iterator.next() == .message([1]))
                group.cancelAll()
                await #expect(throws: CancellationError.self) { try await group.waitForAll() }
            }
        }
    }

    @Test func `A released subscription is forgotten`() async throws {
        let pubSub = MemoryPubSub()
        var subscription: PubSubSubscription? = try await pubSub.subscribe(to: "a")
        #expect(subscription != nil && pubSub.subscribers(of: "a") == 1)
        subscription = nil
        #expect(pubSub.subscribers(of: "a") == 0)
    }
}

/// Subscriptions on a real server that loses connections.
@Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct RedisPubSubTests {
    private func text(_ event: RedisSubscriptionEvent?) -> String {
        switch event {
        case .message(let channel, let content): "\(channel): \(String(buffer: content))"
        case .gap: "gap"
        case nil: "end"
        }
    }

    @Test func `Channels, patterns and sharded channels`() async throws {
        try await withRedis { redis, _ in
            var channel = try await redis.subscribe(to: "news").makeAsyncIterator()
            var pattern = try await redis.subscribe(toPattern: "n*").makeAsyncIterator()
            var sharded = try await redis.subscribe(toSharded: "news").makeAsyncIterator()
            #expect(try await redis.publish("a", to: "news") == 2)
            #expect(try await redis.publish("b", toSharded: "news") == 1)
            #expect(text(try await channel.next()) == "news: a")
            #expect(text(try await pattern.next()) == "news: a")
            #expect(text(try await sharded.next()) == "news: b")
        }
    }

    @Test func `After a lost connection subscribers get a gap before the first message`() async throws {
        try await withRedis { redis, server in
            var channel = try await redis.subscribe(to: "news").makeAsyncIterator()
            var sharded = try await redis.subscribe(toSharded: "shard").makeAsyncIterator()
            for round in 0..<3 {
                try await redis.publish("\(round)", to: "news")
                try await redis.publish("\(round)", toSharded: "shard")
                #expect(text(try await channel.next()) == "news: \(round)")
                #expect(text(try await sharded.next()) == "shard: \(round)")
                if round == 1 {
                    try await server.restart()
                    try await eventually { try await redis.ping() }
                } else {
                    _ = try await redis.send(command("CLIENT", "KILL", "TYPE", "pubsub"))
                }
                #expect(text(try await channel.next()) == "gap")
                #expect(text(try await sharded.next()) == "gap")
            }
        }
    }

    @Test func `A released subscription ends on the server`() async throws {
        try await withRedis { redis, _ in
            func subscribers() async throws -> Int {
                let reply = try await redis.send(command("PUBSUB", "NUMSUB", "news"), as: [String].self)
                return Int(reply.last ?? "") ?? -1
            }
            var first: RedisSubscription? = try await redis.subscribe(to: "news")
            let second = try await redis.subscribe(to: "news")
            #expect(try await subscribers() == 1)
            #expect(first != nil)
            first = nil
            try await redis.publish("a", to: "news")
            var iterator = second.makeAsyncIterator()
            #expect(text(try await iterator.next()) == "news: a")
            second.cancel()
            try await eventually { try await subscribers() == 0 }
            let third = try await redis.subscribe(to: "news")
            try await redis.publish("b", to: "news")
            var again = third.makeAsyncIterator()
            #expect(text(try await again.next()) == "news: b")
        }
    }

    @Test func `A subscription that is not permitted is an error, and the others go on`() async throws {
        let users = ["user default on nopass ~* +@all resetchannels &open*"]
        try await withRedis(server: users) { redis, _ in
            let open = try await redis.subscribe(to: "open")
            let error = await #expect(throws: RedisError.self) { try await redis.subscribe(to: "secret") }
            #expect(error?.code == "NOPERM")
            try await redis.publish("a", to: "open")
            var iterator = open.makeAsyncIterator()
            #expect(text(try await iterator.next()) == "open: a")
        }
    }

    @Test func `A channel that is forbidden later does not end the subscriptions to others`() async throws {
        let users = ["user default on nopass ~* +@all allchannels"]
        try await withRedis(server: users) { redis, _ in
            var open = try await redis.subscribe(to: "open").makeAsyncIterator()
            var secret = try await redis.subscribe(to: "secret").makeAsyncIterator()
            // The server closes the connection, and the client subscribes to both again by one command.
            _ = try await redis.send(command("ACL", "SETUSER", "default", "resetchannels", "&open"))
            #expect(text(try await secret.next()) == "gap")
            #expect(text(try await secret.next()) == "end")
            #expect(text(try await open.next()) == "gap")
            try await redis.publish("a", to: "open")
            #expect(text(try await open.next()) == "open: a")
        }
    }

    @Test func `Without a server a subscription fails instead of waiting`() async throws {
        try await withRedis { redis, server in
            server.kill()
            let error = await #expect(throws: AppError.self) { try await redis.subscribe(to: "news") }
            #expect(error?.code == .unavailable)
            try await server.restart()
            let messages = try await eventually { try await redis.subscribe(to: "news") }
            try await eventually { try await redis.publish("a", to: "news") == 1 }
            var iterator = messages.makeAsyncIterator()
            #expect(text(try await iterator.next()) == "news: a")
        }
    }
}
