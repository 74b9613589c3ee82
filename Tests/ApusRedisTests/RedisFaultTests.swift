import ApusCore
import ApusRedis
import ApusTesting
import Logging
import NIOCore
import Testing

/// What happens to commands when servers die, refuse, block or are late.
@Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct RedisFaultTests {
    private func code(_ operation: () async throws -> Void) async -> StatusCode? {
        do {
            try await operation()
            return nil
        } catch {
            return AppError(wrapping: error).code
        }
    }

    @Test func `A server that is killed and restarted under load costs errors, never wrong replies`() async throws {
        let lines = CapturingLogHandler.Lines()
        try await TestRedis.run { server in
            var configuration = try RedisConfiguration(url: server.url)
            configuration.reconnect = RetryPolicy(baseDelay: .milliseconds(5), maximumDelay: .milliseconds(50))
            let logger = Logger(label: "test") { _ in CapturingLogHandler(lines: lines) }
            let redis = try RedisClient(configuration, logger: logger)
            let (stops, successes, failures) = (Counter(), Counter(), Counter())
            try await withThrowingTaskGroup { group in
                for task in 0..<32 {
                    group.addTask {
                        var index = 0
                        while stops.count == 0 {
                            index += 1
                            let value = "\(task)-\(index)"
                            do {
                                let replies = try await redis.pipeline([
                                    command("SET", key: value, value), command("GET", key: value),
                                ])
                                #expect(replies == [RedisValue("OK"), RedisValue(value)])
                                successes.increment()
                            } catch {
                                #expect(AppError(wrapping: error).code == .unavailable)
                                failures.increment()
                                // Failures are fast, and the other tasks need the processor.
                                await Task.yield()
                            }
                        }
                    }
                }
                for _ in 0..<3 {
                    let before = successes.count
                    try await eventually { successes.count > before + 100 }
                    let failed = failures.count
                    server.kill()
                    try await eventually { failures.count > failed + 32 }
                    try await server.restart()
                }
                let before = successes.count
                try await eventually { successes.count > before + 100 }
                stops.increment()
                try await group.waitForAll()
            }
            await redis.close()
        }
        // Once when it goes away and once when it is back, however many commands failed.
        let away = lines.all.filter { $0.hasPrefix("error: redis is not available") }
        let back = lines.all.filter { $0.hasPrefix("notice: redis is available again") }
        #expect(away.count == 3 && back.count == 3 && lines.all.count == 6, "\(lines.all)")
        #expect(back.allSatisfy { $0.contains("failed_commands=") })
    }

    @Test func `A blocked command holds up nothing, and ends on the server when it is cancelled`() async throws {
        try await withRedis { redis, _ in
            let blocked = Task { try await redis.blpop("queue") }
            func blockedClients() async throws -> Bool {
                try await redis.send(command("INFO", "clients"), as: String.self).contains("blocked_clients:1")
            }
            try await eventually { try await blockedClients() }
            try await redis.set("a", 1)
            try await redis.rpush("queue", ["x"])
            let element = try await blocked.value
            #expect(element == "x")
            let cancelled = Task { try await redis.blpop("queue") }
            try await eventually { try await blockedClients() }
            cancelled.cancel()
            await #expect(throws: CancellationError.self) { try await cancelled.value }
            try await eventually { try await !blockedClients() }
            let error = await code {
                _ = try await withDeadline(.after(.milliseconds(20))) { try await redis.blpop("queue") }
            }
            #expect(error == .deadlineExceeded)
            #expect(try await redis.blpop("queue", timeout: .milliseconds(10)) == nil)
        }
    }

    @Test func `A session ends with its closure, and a command cannot change its connection`() async throws {
        try await withRedis { redis, _ in
            var kept: RedisSession?
            _ = try await redis.transaction(watching: ["a"]) { session in
                kept = session
                let error = await code { _ = try await session.send(command("SELECT", "1")) }
                #expect(error == .invalidArgument)
                return []
            }
            let session = try #require(kept)
            #expect(await code { _ = try await session.get("a") } == .internal)
        }
    }

    @Test func `Dedicated connections are bounded`() async throws {
        try await withRedis({ $0.dedicatedConnections = 1 }) { redis, _ in
            let blocked = Task { try await redis.blpop("queue") }
            try await eventually {
                try await redis.send(command("INFO", "clients"), as: String.self).contains("blocked_clients:1")
            }
            let error = await code {
                _ = try await withDeadline(.after(.milliseconds(100))) { try await redis.blpop("other") }
            }
            // On a busy machine the caller's own timer may be first.
            #expect(error == .resourceExhausted || error == .deadlineExceeded)
            let waiting = Task { try await redis.blpop("queue") }
            try await redis.rpush("queue", ["x", "y"])
            let elements = [try await blocked.value, try await waiting.value]
            #expect(elements == ["x", "y"])
        }
    }

    @Test func `What was written is never sent again`() async throws {
        try await withRedis { redis, server in
            try await withClient(of: server) { other in
                let (attempts, successes) = (Counter(), Counter())
                try await withThrowingTaskGroup { group in
                    for _ in 0..<16 {
                        group.addTask {
                            for _ in 0..<200 {
                                attempts.increment()
                                do {
                                    try await redis.incr("n")
                                    successes.increment()
                                } catch {
                                    #expect(AppError(wrapping: error).code == .unavailable)
                                    try await eventually { try await redis.ping() }
                                }
                            }
                        }
                    }
                    group.addTask {
                        for _ in 0..<20 {
                            _ = try await other.send(command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
                            let before = successes.count
                            try await eventually { successes.count > before || attempts.count == 3200 }
                        }
                    }
                    try await group.waitForAll()
                }
                let value = try await eventually { try await other.get("n", as: Int.self) ?? 0 }
                #expect(value >= successes.count && value <= attempts.count)
            }
        }
    }

    @Test func `A server that becomes a replica is left, and the command is asked again`() async throws {
        // The attempts must last until the test has noticed the first one.
        let patient = RetryPolicy(baseDelay: .milliseconds(50), maximumDelay: .seconds(2))
        try await withRedis({ $0.reconnect = patient }) { redis, server in
            try await withClient(of: server) { other in
                try await redis.set("a", 1)
                _ = try await other.send(command("REPLICAOF", "127.0.0.1", "1"))
                let write = Task { try await redis.set("a", 2) }
                // Its refusal makes the client reconnect.
                try await eventually {
                    try await other.send(command("INFO", "errorstats"), as: String.self).contains("errorstat_READONLY")
                }
                _ = try await other.send(command("REPLICAOF", "NO", "ONE"))
                let wasSet = try await write.value
                #expect(wasSet)
                #expect(try await redis.get("a") == "2")
            }
        }
    }

    @Test func `Without a server commands fail at once, or wait if the client shall wait`() async throws {
        let server = try await TestRedis.start()
        defer { server.stop() }
        server.kill()
        try await withClient(of: server) { redis in
            let error = await #expect(throws: AppError.self) { try await redis.get("a") }
            #expect(error?.code == .unavailable && error?.details.reason == .redisUnavailable)
        }
        try await withClient(
            of: server,
            {
                $0.whileAway = .wait; $0.waitingCommands = 2
            }
        ) { redis in
            let waiting = (0..<2).map { _ in Task { try await redis.get("a") } }
            // The third is one too many, whichever it is.
            let late = await code {
                _ = try await withDeadline(.after(.milliseconds(50))) { try await redis.get("a") }
            }
            #expect(late == .deadlineExceeded || late == .unavailable)
            try await server.restart()
            for task in waiting {
                do {
                    let value = try await task.value
                    #expect(value == nil)
                } catch {
                    #expect(AppError(wrapping: error).code == .unavailable)
                }
            }
            #expect(try await redis.get("a") == nil)
        }
    }

    @Test func `A server without HELLO is used over RESP2`() async throws {
        try await withRedis(
            server: ["rename-command HELLO \"\"", "requirepass s3cret"],
            {
                $0.password = Secret("s3cret")
                $0.database = 1
            }
        ) { redis, _ in
            try await redis.set("a", 1)
            #expect(try await redis.get("a", as: Int.self) == 1)
            try await redis.hset("h", ["a": "1"])
            #expect(try await redis.hgetall("h") == ["a": "1"])
            try await redis.zadd("z", [("m", 1.5)])
            let scores = try await redis.zrangeWithScores("z")
            #expect(scores.first?.member == "m" && scores.first?.score == 1.5)
            let messages = try await redis.subscribe(to: "c")
            try await redis.publish("hello", to: "c")
            var iterator = messages.makeAsyncIterator()
            #expect(try await iterator.next() == .message(channel: "c", .init(string: "hello")))
        }
    }

    @Test func `A closed client fails and closes its connections`() async throws {
        try await TestRedis.run { server in
            try await withClient(of: server) { other in
                try await withClient(of: server, { $0.clientName = "closing" }) { redis in
                    try await redis.set("a", 1)
                    let messages = try await redis.subscribe(to: "c")
                    await redis.close()
                    var iterator = messages.makeAsyncIterator()
                    #expect(try await iterator.next() == nil)
                    let error = await code { _ = try await redis.get("a") }
                    #expect(error == .unavailable)
                }
                try await eventually {
                    try await !other.send(command("CLIENT", "LIST"), as: String.self).contains("closing")
                }
            }
        }
    }
}
