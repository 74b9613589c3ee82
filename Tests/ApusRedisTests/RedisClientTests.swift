import ApusCore
import ApusRedis
import ApusTesting
import Logging
import NIOCore
import Testing

/// Runs a closure with a server and a client of it.
func withRedis<Result>(
    server configuration: [String] = [], _ change: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (RedisClient, TestRedis) async throws -> Result
) async throws -> Result {
    try await TestRedis.run(configuration: configuration) { server in
        try await withClient(of: server, change) { try await body($0, server) }
    }
}

/// Runs a closure with a client, and closes it afterwards.
func withClient<Result>(
    of server: TestRedis, _ change: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (RedisClient) async throws -> Result
) async throws -> Result {
    var configuration = try RedisConfiguration(url: server.url)
    configuration.reconnect = RetryPolicy(baseDelay: .milliseconds(5), maximumDelay: .milliseconds(50))
    change(&configuration)
    let client = try RedisClient(configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    do {
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}

/// Commands and their values, on a real server.
@Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct RedisClientTests {
    @Test func `Strings are set under conditions and expire`() async throws {
        try await withRedis { redis, _ in
            #expect(try await redis.get("missing") == nil)
            #expect(try await redis.set("a", "1"))
            #expect(try await redis.get("a") == "1")
            #expect(try await redis.get("a", as: Int.self) == 1)
            #expect(try await !redis.set("a", "2", .ifAbsent))
            #expect(try await !redis.set("b", "2", .ifPresent))
            #expect(try await redis.set("a", 3, expiring: .after(.seconds(100)), .ifPresent))
            guard case .remaining(let left) = try await redis.ttl("a") else { throw AppError(.internal, "no TTL") }
            #expect(left > .seconds(90) && left <= .seconds(100))
            #expect(try await redis.set("a", 4, expiring: .keep))
            #expect(try await redis.ttl("a") != .never)
            #expect(try await redis.persist("a"))
            #expect(try await redis.ttl("a") == .never)
            #expect(try await redis.ttl("missing") == .missing)
            #expect(try await redis.expire("a", after: .seconds(5)))
            #expect(try await redis.incr("a") == 5)
            #expect(try await redis.incr("a", by: -7) == -2)
            #expect(try await redis.del("a", "b", "c") == 1)
            try await redis.mset([("x", "1"), ("y", "é")])
            #expect(try await redis.mget(["x", "z", "y"]) == ["1", nil, "é"])
        }
    }

    @Test func `Values round-trip whatever bytes they have`() async throws {
        try await withRedis { redis, _ in
            let bytes = [UInt8](0...255) + Array("\r\n$5\r\n*1\r\n".utf8)
            try await redis.set("bytes", bytes)
            #expect(try await redis.getBytes("bytes") == ByteBuffer(bytes: bytes))
            await #expect(throws: AppError.self) { try await redis.get("bytes") }
            let large = ByteBuffer(repeating: 7, count: 3_000_000)
            try await redis.set("large", large)
            #expect(try await redis.getBytes("large") == large)
            try await redis.set("empty", "")
            #expect(try await redis.get("empty") == "")
            try await redis.set("k\r\n\0", "v")
            #expect(try await redis.get("k\r\n\0") == "v")
        }
    }

    @Test func `Hashes, lists, sets and sorted sets`() async throws {
        try await withRedis { redis, _ in
            #expect(try await redis.hset("h", ["a": "1", "b": "2"]) == 2)
            #expect(try await redis.hget("h", "a") == "1")
            #expect(try await redis.hget("h", "c") == nil)
            #expect(try await redis.hgetall("h") == ["a": "1", "b": "2"])
            #expect(try await redis.hincrby("h", "a", by: 4) == 5)
            #expect(try await redis.hdel("h", "a", "c") == 1)
            #expect(try await redis.rpush("l", ["a", "b", "c"]) == 3)
            #expect(try await redis.lpush("l", ["z"]) == 4)
            #expect(try await redis.lrange("l") == ["z", "a", "b", "c"])
            #expect(try await redis.lrange("l", from: 1, to: 2) == ["a", "b"])
            #expect(try await redis.lpop("l") == "z")
            #expect(try await redis.rpop("l") == "c")
            #expect(try await redis.lpop("missing") == nil)
            #expect(try await redis.sadd("s", ["a", "b", "a"]) == 2)
            #expect(try await redis.sismember("s", "a"))
            #expect(try await Set(redis.smembers("s")) == ["a", "b"])
            #expect(try await redis.srem("s", ["a"]) == 1)
            #expect(try await redis.zadd("z", [("a", 1.5), ("b", -.infinity), ("c", 3)]) == 3)
            #expect(try await redis.zrange("z") == ["b", "a", "c"])
            let scores = try await redis.zrangeWithScores("z", from: 0, to: 1)
            #expect(scores.map(\.member) == ["b", "a"] && scores.map(\.score) == [-.infinity, 1.5])
            #expect(try await redis.zrangeByScore("z", 1...2) == ["a"])
            #expect(try await redis.zscore("z", "a") == 1.5)
            #expect(try await redis.zscore("z", "q") == nil)
            #expect(try await redis.zincrby("z", "a", by: 0.25) == 1.75)
            #expect(try await redis.zrem("z", "a", "b") == 2)
            #expect(try await redis.zcard("z") == 1)
        }
    }

    @Test func `An error reply is a typed error, which reveals nothing to clients`() async throws {
        try await withRedis { redis, _ in
            try await redis.rpush("list", ["a"])
            let error = await #expect(throws: RedisError.self) { try await redis.get("list") }
            #expect(error?.code == "WRONGTYPE" && error?.appError.code == .failedPrecondition)
            // The connection still works.
            #expect(try await redis.llen("list") == 1)
        }
    }

    @Test func `Many tasks are pipelined, and each gets its own reply`() async throws {
        try await withRedis { redis, _ in
            try await withThrowingTaskGroup { group in
                for task in 0..<64 {
                    group.addTask {
                        for index in 0..<50 {
                            let key = "k\(task)-\(index)"
                            try await redis.set(key, key)
                            #expect(try await redis.get(key) == key)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `A pipeline returns errors as values`() async throws {
        try await withRedis { redis, _ in
            var set = RedisCommand("SET")
            set.append(key: "a")
            set.append(1)
            var push = RedisCommand("LPUSH")
            push.append(key: "a")
            push.append(1)
            let replies = try await redis.pipeline([set, push, RedisCommand("PING")])
            #expect(replies.count == 3 && replies[2] == RedisValue("PONG"))
            guard case .error(let error) = replies[1] else { throw AppError(.internal, "no error") }
            #expect(error.code == "WRONGTYPE")
            #expect(try await redis.pipeline([]).isEmpty)
        }
    }

    @Test func `A transaction runs whole or not at all`() async throws {
        try await withRedis { redis, _ in
            func increment(_ key: String) -> RedisCommand {
                var command = RedisCommand("INCR")
                command.append(key: key)
                return command
            }
            let replies = try await redis.transaction([increment("a"), increment("a")])
            #expect(replies == [.integer(1), .integer(2)])
            // A command that the server does not accept: nothing runs.
            let error = await #expect(throws: RedisError.self) {
                try await redis.transaction([increment("a"), RedisCommand("GET")])
            }
            #expect(error?.message.contains("wrong number of arguments") == true)
            let value = try await redis.get("a")
            #expect(value == "2")
        }
    }

    @Test func `Watched keys that change let the transaction run again`() async throws {
        try await withRedis { redis, _ in
            try await redis.set("stock", 100)
            try await withThrowingTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask {
                        _ = try await redis.transaction(watching: ["stock"], attempts: 100) { session in
                            let stock = try await session.get("stock", as: Int.self) ?? 0
                            var command = RedisCommand("SET")
                            command.append(key: "stock")
                            command.append(stock - 1)
                            return [command]
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await redis.get("stock", as: Int.self) == 92)
            let error = await #expect(throws: AppError.self) {
                try await redis.transaction(watching: ["stock"], attempts: 2) { session in
                    try await redis.set("stock", 7)
                    var command = RedisCommand("INCR")
                    command.append(key: "stock")
                    return [command]
                }
            }
            #expect(error?.code == .aborted)
            #expect(try await redis.get("stock", as: Int.self) == 7)
        }
    }

    @Test func `A script is sent again by its text only if the server does not know it`() async throws {
        try await withRedis { redis, _ in
            let script = RedisScript("return {KEYS[1], ARGV[1] + 1, redis.call('INCR', KEYS[1])}")
            let first = try await redis.run(script, keys: ["n"], arguments: [41])
            #expect(first == .array([RedisValue("n"), .integer(42), .integer(1)]))
            #expect(try await redis.run(script, keys: ["n"], arguments: [1], as: [String].self) == ["n", "2", "2"])
            var flush = RedisCommand("SCRIPT")
            flush.append("FLUSH")
            _ = try await redis.send(flush)
            // Counted once: the digest alone does not run anything.
            #expect(try await redis.run(script, keys: ["n"], arguments: [1], as: [String].self) == ["n", "2", "3"])
            // In a transaction, the text is sent.
            _ = try await redis.send(flush)
            let replies = try await redis.transaction([script.command(keys: ["n"], arguments: [1])])
            #expect(replies == [.array([RedisValue("n"), .integer(2), .integer(4)])])
        }
    }

    @Test func `A password, a user and a database are used`() async throws {
        let configuration = ["requirepass s3cret", "user ada on >pa:ss ~* +@all"]
        try await TestRedis.run(configuration: configuration) { server in
            try await withClient(
                of: server,
                {
                    $0.password = Secret("s3cret"); $0.database = 3
                }
            ) { redis in
                try await redis.set("a", "3")
                var name = RedisCommand("CLIENT")
                name.append("INFO")
                #expect(try await redis.send(name, as: String.self).contains("db=3"))
            }
            try await withClient(
                of: server,
                {
                    $0.user = "ada"; $0.password = Secret("pa:ss")
                }
            ) { redis in
                let value = try await redis.get("a")
                #expect(value == nil)
            }
            try await withClient(of: server, { $0.password = Secret("wrong") }) { redis in
                let error = await #expect(throws: AppError.self) { try await redis.get("a") }
                #expect(error?.code == .unavailable && error?.message.contains("wrong") == false)
            }
        }
    }

    @Test func `A Unix domain socket is used`() async throws {
        try await withRedis { _, server in
            let path = "\(server.folder)/redis.sock"
            try await TestRedis.run(configuration: ["unixsocket \(path)"]) { _ in
                let client = try RedisClient(url: "redis+unix://\(path)?db=1", logger: Logger(label: "test"))
                try await client.set("a", "1")
                #expect(try await client.get("a") == "1")
                await client.close()
            }
        }
    }
}
