import ApusCore
import ApusRateLimit
import ApusRedis
import ApusTesting
import Logging
import Testing

/// The contract of `RateLimiter`, checked for every implementation.
@Suite struct RateLimiterContractTests {
    enum Implementation: CaseIterable {
        case memory, redis

        static var available: [Implementation] { TestRedis.isInstalled ? allCases : [.memory] }
    }

    private func withLimiter(
        _ implementation: Implementation, _ body: (any RateLimiter) async throws -> Void
    ) async throws {
        switch implementation {
        case .memory: try await body(MemoryRateLimiter())
        case .redis:
            try await withRedis { redis, _ in
                try await body(RedisRateLimiter(redis, timeout: .seconds(60), local: NoLimiter()))
            }
        }
    }

    @Test(arguments: Implementation.available)
    func `The full quota is allowed at once, and no more until an interval later`(
        implementation: Implementation
    ) async throws {
        try await withLimiter(implementation) { limiter in
            let policy = RateLimitPolicy(3, per: .seconds(3600))
            for remaining in [2, 1, 0] {
                let decision = try await limiter.take("a", limit: policy)
                #expect(decision.isAllowed && decision.remaining == remaining && decision.retryAfter == .zero)
                #expect(decision.resetAfter <= .seconds(1200 * (3 - remaining)) + .microseconds(1))
            }
            let refused = try await limiter.take("a", limit: policy)
            #expect(!refused.isAllowed && refused.remaining == 0)
            #expect(refused.retryAfter > .seconds(1000) && refused.retryAfter <= .seconds(1200))
            #expect(refused.resetAfter > .seconds(3400) && refused.resetAfter <= .seconds(3600))
            #expect(try await limiter.take("b", limit: policy).isAllowed)
        }
    }

    @Test(arguments: Implementation.available) func `A request is allowed again when the decision said`(
        implementation: Implementation
    ) async throws {
        try await withLimiter(implementation) { limiter in
            let policy = RateLimitPolicy(1, per: .milliseconds(200))
            for _ in 0..<3 {
                var decision = try await limiter.take("a", limit: policy)
                while decision.isAllowed { decision = try await limiter.take("a", limit: policy) }
                // The time of the server: there is nothing else to wait for.
                try await Task.sleep(for: decision.retryAfter)
                #expect(try await limiter.take("a", limit: policy).isAllowed)
            }
        }
    }

    @Test(arguments: Implementation.available) func `The limit is exact with concurrent tasks`(
        implementation: Implementation
    ) async throws {
        try await withLimiter(implementation) { limiter in
            let policy = RateLimitPolicy(100, per: .seconds(36_000))
            let allowed = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<400 { group.addTask { try await limiter.take("a", limit: policy).isAllowed } }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(allowed == 100)
        }
    }

    @Test(arguments: Implementation.available) func `Every count in a period is exact`(
        implementation: Implementation
    ) async throws {
        // The sum of rounded intervals must not exceed the period.
        try await withLimiter(implementation) { limiter in
            for count in [1, 3, 6, 7, 9, 11, 13, 49, 97] {
                let policy = RateLimitPolicy(count, per: .seconds(3600))
                var remaining: [Int] = []
                while let decision = try await allowed("\(count)", policy, limiter) {
                    remaining.append(decision.remaining)
                }
                #expect(remaining == (0..<count).reversed())
            }
        }
    }

    private func allowed(
        _ key: String, _ policy: RateLimitPolicy, _ limiter: any RateLimiter
    ) async throws -> RateLimitDecision? {
        let decision = try await limiter.take(key, limit: policy)
        return decision.isAllowed ? decision : nil
    }

    @Test(arguments: Implementation.available) func `Policies with extreme values are no error`(
        implementation: Implementation
    ) async throws {
        try await withLimiter(implementation) { limiter in
            let policies = [
                RateLimitPolicy(0, per: .zero), RateLimitPolicy(.max, per: .seconds(1)),
                RateLimitPolicy(5, per: .seconds(-5)), RateLimitPolicy(1, per: .seconds(Int64.max / 4)),
            ]
            for (index, policy) in policies.enumerated() {
                for _ in 0..<3 { _ = try await limiter.take("\(index)", limit: policy) }
            }
            #expect(try await !limiter.take("3", limit: policies[3]).isAllowed)
        }
    }
}

/// Allows everything, and can be told apart from Redis by what remains.
private struct NoLimiter: RateLimiter {
    static let remaining = 4711

    func take(_ key: String, limit: RateLimitPolicy) -> RateLimitDecision {
        RateLimitDecision(isAllowed: true, remaining: Self.remaining, resetAfter: .zero, retryAfter: .zero)
    }
}

/// A limiter whose Redis goes away.
@Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct RedisRateLimiterTests {
    private let policy = RateLimitPolicy(1000, per: .seconds(360_000))

    @Test func `Processes share quotas, and keys expire with them`() async throws {
        try await withRedis { first, server in
            try await withClient(of: server) { second in
                let limiters = [first, second].map { RedisRateLimiter($0, prefix: "app:", timeout: .seconds(60)) }
                let policy = RateLimitPolicy(4, per: .seconds(60))
                for index in 0..<6 {
                    #expect(try await limiters[index % 2].take("a", limit: policy).isAllowed == (index < 4))
                }
                let lifetime = try await first.send(command("PTTL", key: "app:a"), as: Int.self)
                #expect((1...60_000).contains(lifetime))
            }
        }
    }

    @Test func `Without Redis each process counts by itself, and Redis is used again when it is back`() async throws {
        let lines = CapturingLogHandler.Lines()
        let server = try await TestRedis.start()
        defer { server.stop() }
        var configuration = try RedisConfiguration(url: server.url)
        configuration.reconnect = RetryPolicy(baseDelay: .milliseconds(5), maximumDelay: .milliseconds(50))
        let client = try RedisClient(
            configuration, logger: Logger(label: "test") { _ in CapturingLogHandler(lines: lines) })
        let limiter = RedisRateLimiter(client, timeout: .seconds(60))
        #expect(try await limiter.take("a", limit: policy).remaining == 999)
        server.kill()
        // A quota of its own.
        try await eventually { try await limiter.take("a", limit: policy).remaining == 999 }
        for index in 1..<10 { #expect(try await limiter.take("a", limit: policy).remaining == 999 - index) }
        try await server.restart()
        // Decided by Redis again: the key of the new quota is there.
        try await eventually {
            _ = try await limiter.take("b", limit: policy)
            return try await client.get("limit:b") != nil
        }
        let ofLimits = lines.all.filter { $0.contains("rate limits") }
        #expect(ofLimits.count == 2, "\(lines.all)")
        #expect(ofLimits.first?.hasPrefix("error: redis is not available") == true)
        #expect(ofLimits.last?.contains("failed_commands=") == true)
        await client.close()
    }

    @Test func `A Redis that does not answer delays only the first requests`() async throws {
        try await withRedis { redis, server in
            let limiter = RedisRateLimiter(redis, timeout: .milliseconds(50), local: NoLimiter())
            try await eventually { try await limiter.take("a", limit: policy).remaining < 1000 }
            try await withClient(of: server) { other in
                _ = try await other.send(command("CLIENT", "PAUSE", "60000", "ALL"))
            }
            let start = ContinuousClock.now
            for _ in 0..<1000 {
                #expect(try await limiter.take("a", limit: policy).remaining == NoLimiter.remaining)
            }
            // Waiting for each of them would take 50 seconds.
            #expect(start.duration(to: .now) < .seconds(25))
            try await server.restart()
            try await eventually { try await limiter.take("a", limit: policy).remaining < 1000 }
        }
    }

    @Test func `A task whose deadline has passed gets that error, and Redis is asked as before`() async throws {
        try await withRedis { redis, server in
            let limiter = RedisRateLimiter(redis, timeout: .seconds(60), local: NoLimiter())
            #expect(try await limiter.take("a", limit: policy).remaining == 999)
            try await withClient(of: server) { other in
                _ = try await other.send(command("CLIENT", "PAUSE", "60000", "WRITE"))
                let error = await #expect(throws: AppError.self) {
                    try await withDeadline(.after(.milliseconds(20))) { try await limiter.take("a", limit: policy) }
                }
                #expect(error?.code == .deadlineExceeded)
                _ = try await other.send(command("CLIENT", "UNPAUSE"))
            }
            #expect(try await limiter.take("b", limit: policy).remaining == 999)
        }
    }

    @Test func `A server that forgets its scripts gets them again`() async throws {
        try await withRedis { redis, _ in
            let limiter = RedisRateLimiter(redis, timeout: .seconds(60), local: NoLimiter())
            _ = try await limiter.take("a", limit: policy)
            _ = try await redis.send(command("SCRIPT", "FLUSH"))
            #expect(try await limiter.take("a", limit: policy).remaining == 998)
        }
    }
}
