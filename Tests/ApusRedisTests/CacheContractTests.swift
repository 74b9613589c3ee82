import ApusCore
import ApusData
import ApusRedis
import ApusTesting
import Synchronization
import Testing

/// The contract of `Cache`, checked for every implementation.
@Suite struct CacheContractTests {
    enum Implementation: CaseIterable {
        case memory, redis

        static var available: [Implementation] { TestRedis.isInstalled ? allCases : [.memory] }
    }

    struct User: Codable, Equatable {
        var name: String
        var age = 30
    }

    private func withCache(
        _ implementation: Implementation, _ options: CacheOptions = CacheOptions(),
        _ body: (any Cache) async throws -> Void
    ) async throws {
        switch implementation {
        case .memory: try await body(MemoryCache(options: options))
        case .redis:
            try await withRedis { redis, _ in
                // Long enough for a machine that runs other tests.
                try await body(RedisCache(redis, options: options, timeout: .seconds(10)))
            }
        }
    }

    /// Yields until a condition holds.
    private func until(_ condition: () -> Bool) async {
        let end = ContinuousClock.now + .seconds(60)
        while !condition(), ContinuousClock.now < end { await Task.yield() }
        #expect(condition(), "The condition has not become true within a minute.")
    }

    @Test(arguments: Implementation.available) func `A value is loaded once and then found`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let loads = Counter()
            for _ in 0..<3 {
                let user = try await cache.value(for: "users:1") {
                    loads.increment()
                    return User(name: "Ada")
                }
                #expect(user == User(name: "Ada"))
            }
            #expect(loads.count == 1)
            #expect(await cache.get("users:1", as: User.self) == User(name: "Ada"))
            #expect(await cache.get("users:2", as: User.self) == nil)
        }
    }

    @Test(arguments: Implementation.available) func `Tasks that need one key at a time share one load`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let (loads, gate) = (Counter(), Gate())
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        try await cache.value(for: "k") {
                            loads.increment()
                            try await gate.wait()
                            return 42
                        }
                    }
                }
                await until { cache.flights.waiterCount == 20 }
                gate.open()
                for try await value in group { #expect(value == 42) }
            }
            #expect(loads.count == 1)
            #expect(cache.flights.count == 0)
        }
    }

    @Test(arguments: Implementation.available) func `A cancelled leader does not fail its followers`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let gate = Gate()
            @Sendable func load() async throws -> Int {
                try await cache.value(for: "k") {
                    try await gate.wait()
                    return 42
                }
            }
            let leader = Task { try await load() }
            await until { cache.flights.waiterCount == 1 }
            let follower = Task { try await load() }
            await until { cache.flights.waiterCount == 2 }
            leader.cancel()
            await #expect(throws: CancellationError.self) { try await leader.value }
            gate.open()
            let value = try await follower.value
            #expect(value == 42)
        }
    }

    // In memory alone, where the leader has nearly always begun to wait by its deadline. If not, it fails the same way.
    @Test func `A leader's deadline does not fail its followers`() async throws {
        try await withCache(.memory) { cache in
            let gate = Gate()
            @Sendable func load() async throws -> Int {
                try await cache.value(for: "k") {
                    try await gate.wait()
                    return 42
                }
            }
            let ended = Counter()
            let leader = Task {
                defer { ended.increment() }
                return try await withDeadline(.after(.milliseconds(100))) { try await load() }
            }
            await until { cache.flights.waiterCount == 1 || ended.count == 1 }
            let follower = Task { try await load() }
            let error = await #expect(throws: AppError.self) { try await leader.value }
            #expect(error?.code == .deadlineExceeded)
            gate.open()
            let value = try await follower.value
            #expect(value == 42)
        }
    }

    @Test(arguments: Implementation.available) func `A load for which nobody waits is cancelled`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let (started, cancelled) = (Gate(), Gate())
            let caller = Task {
                try await cache.value(for: "k") { () -> Int in
                    started.open()
                    do {
                        try await Gate().wait()
                    } catch {
                        cancelled.open()
                        throw error
                    }
                    return 1
                }
            }
            try await started.wait()
            caller.cancel()
            try await cancelled.wait()
            let value = try await cache.value(for: "k") { 2 }
            #expect(value == 2)
        }
    }

    @Test(arguments: Implementation.available) func `An error goes to all who wait, and is not kept`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let error = AppError(.notFound, "There is no such user.")
            let thrown = await #expect(throws: AppError.self) {
                try await cache.value(for: "k") { () -> Int in throw error }
            }
            #expect(thrown?.code == .notFound)
            let value = try await cache.value(for: "k") { 1 }
            #expect(value == 1)
        }
    }

    @Test(arguments: Implementation.available) func `That there is no value is kept too`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let loads = Counter()
            for _ in 0..<3 {
                let value: User? = try await cache.valueIfPresent(for: "users:9") {
                    loads.increment()
                    return nil
                }
                #expect(value == nil)
            }
            #expect(loads.count == 1)
            try await cache.set("users:9", User(name: "Grace"))
            let value = try await cache.valueIfPresent(for: "users:9") { nil as User? }
            #expect(value == User(name: "Grace"))
        }
    }

    @Test(arguments: Implementation.available) func `Keys are removed alone, by prefix, by tag and all together`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let keys: [CacheKey] = [
                "users:1", "users:1:cart", "users:2", CacheKey("orders:1", tags: ["tenant:7", "eu"]), "users",
            ]
            func fill() async throws { for key in keys { try await cache.set(key, key.name) } }
            func found() async -> [String] {
                var names: [String] = []
                for key in keys { if let name = await cache.get(key, as: String.self) { names.append(name) } }
                return names
            }
            try await fill()
            #expect(await found() == ["users:1", "users:1:cart", "users:2", "orders:1", "users"])
            await cache.remove("users:2")
            #expect(await found() == ["users:1", "users:1:cart", "orders:1", "users"])
            await cache.remove(prefix: "users:1:")
            #expect(await found() == ["users:1", "orders:1", "users"])
            await cache.remove(prefix: "users")
            #expect(await found() == ["orders:1", "users"])
            await cache.remove(tag: "us")
            #expect(await found() == ["orders:1", "users"])
            await cache.remove(tag: "eu")
            #expect(await found() == ["users"])
            try await fill()
            #expect(await found().count == 5)
            await cache.removeAll()
            #expect(await found().isEmpty)
        }
    }

    @Test(arguments: Implementation.available)
    func `A value that is removed while it is loaded is not stored, and is not given to later callers`(
        implementation: Implementation
    ) async throws {
        let removals: [@Sendable (any Cache) async -> Void] = [
            { await $0.remove(CacheKey("users:1", tags: ["t"])) }, { await $0.remove(prefix: "users:") },
            { await $0.remove(tag: "t") }, { await $0.removeAll() },
        ]
        try await withCache(implementation) { cache in
            let key = CacheKey("users:1", tags: ["t"])
            for remove in removals {
                await cache.removeAll()
                let gate = Gate()
                let first = Task {
                    try await cache.value(for: key) {
                        try await gate.wait()
                        return "old"
                    }
                }
                await until { cache.flights.waiterCount == 1 }
                await remove(cache)
                let later = try await cache.value(for: key, ttl: .zero) { "new" }
                #expect(later == "new")
                gate.open()
                #expect(try await first.value == "old")
                #expect(await cache.get(key, as: String.self) == nil)
                // From now on, values are stored again.
                let stored = try await cache.value(for: key) { "stored" }
                #expect(stored == "stored")
                #expect(await cache.get(key, as: String.self) == "stored")
            }
        }
    }

    @Test(arguments: Implementation.available) func `A value that is set while another is loaded stays`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let gate = Gate()
            let load = Task {
                try await cache.value(for: "k") {
                    try await gate.wait()
                    return "loaded"
                }
            }
            await until { cache.flights.waiterCount == 1 }
            try await cache.set("k", "set")
            gate.open()
            #expect(try await load.value == "loaded")
            #expect(await cache.get("k", as: String.self) == "set")
        }
    }

    @Test(arguments: Implementation.available) func `A value of another type is loaded again`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            try await cache.set("k", "text")
            let user = try await cache.value(for: "k") { User(name: "Ada") }
            #expect(user == User(name: "Ada"))
            #expect(await cache.get("k", as: User.self) == User(name: "Ada"))
        }
    }

    @Test(arguments: Implementation.available) func `A key may have many tags, each of which removes it`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let key = CacheKey("k", tags: (0..<300).map { "tag:\($0)" })
            try await cache.set(key, 1)
            #expect(await cache.get(key, as: Int.self) == 1)
            await cache.remove(tag: "tag:299")
            #expect(await cache.get(key, as: Int.self) == nil)
        }
    }

    @Test(arguments: Implementation.available) func `Keys are compared byte by byte, and tags belong to them`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            try await cache.set("caf\u{e9}", 1)
            #expect(await cache.get("cafe\u{301}", as: Int.self) == nil)
            try await cache.set(CacheKey("k", tags: ["a", "b"]), 1)
            #expect(await cache.get(CacheKey("k", tags: ["b", "a", "a"]), as: Int.self) == 1)
            #expect(await cache.get("k", as: Int.self) == nil)
        }
    }

    @Test(arguments: Implementation.available) func `Tags and prefixes are compared byte by byte too`(
        implementation: Implementation
    ) async throws {
        try await withCache(implementation) { cache in
            let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}")
            let (first, second) = (CacheKey("1", tags: [composed]), CacheKey("1", tags: [decomposed]))
            #expect(first != second)
            try await cache.set(first, 1)
            try await cache.set("\(composed):k", 2)
            await cache.remove(tag: decomposed)
            await cache.remove(prefix: decomposed)
            #expect(await cache.get(first, as: Int.self) == 1)
            #expect(await cache.get("\(composed):k", as: Int.self) == 2)
        }
    }

    @Test(arguments: [-1, 0, 1, 5, Double.nan, .infinity]) func `Any jitter can be set`(jitter: Double) async throws {
        var options = CacheOptions()
        options.jitter = jitter
        for _ in 0..<100 {
            let ttl = options.jittered(.seconds(10))
            #expect(ttl >= .zero && ttl <= .seconds(10))
        }
    }

    @Test func `A value expires, at most a tenth earlier`() async throws {
        let clock = ManualClock()
        let cache = MemoryCache(clock: clock)
        for index in 0..<50 { try await cache.set("k\(index)", index, ttl: .seconds(100)) }
        clock.advance(by: .milliseconds(89_999))
        for index in 0..<50 { #expect(await cache.get("k\(index)", as: Int.self) == index) }
        clock.advance(by: .milliseconds(10_001))
        for index in 0..<50 { #expect(await cache.get("k\(index)", as: Int.self) == nil) }
    }

    @Test func `The number and the size of values in memory are bounded, and the least used give way`() async throws {
        let cache = MemoryCache(maximumValues: 3)
        for index in 0..<3 { try await cache.set("k\(index)", index) }
        #expect(await cache.get("k0", as: Int.self) == 0)
        try await cache.set("k3", 3)
        #expect(await cache.get("k1", as: Int.self) == nil)
        #expect(await cache.get("k0", as: Int.self) == 0)
        #expect(cache.count == 3)
        let small = MemoryCache(maximumBytes: 100)
        try await small.set("a", String(repeating: "a", count: 60))
        try await small.set("b", String(repeating: "b", count: 60))
        #expect(await small.get("a", as: String.self) == nil)
        #expect(await small.get("b", as: String.self) != nil)
        try await small.set("b", String(repeating: "b", count: 200))
        #expect(await small.get("b", as: String.self) == nil)
    }

    @Test func `A value that is too large to be stored still voids the loads before it`() async throws {
        let cache = MemoryCache(maximumBytes: 100)
        let gate = Gate()
        let load = Task {
            try await cache.value(for: "k") {
                try await gate.wait()
                return "old"
            }
        }
        await until { cache.flights.waiterCount == 1 }
        try await cache.set("k", String(repeating: "n", count: 200))
        gate.open()
        _ = try await load.value
        #expect(await cache.get("k", as: String.self) == nil)
    }

    @Test func `A removal at the start of the longest load voids it`() async throws {
        let clock = ManualClock()
        let cache = MemoryCache(clock: clock)
        let lookup = await cache.lookUp("k")
        await cache.remove("k")
        clock.advance(by: cache.options.loadTimeout)
        let ticket = try #require(lookup.ticket)
        await cache.store(.value([1]), for: "k", ttl: .seconds(60), ticket: ticket, .unchanged)
        #expect(await cache.lookUp("k").content == nil)
    }

    @Test func `A removal whose mark gives way early still voids the loads before it`() async throws {
        let cache = MemoryCache(maximumValues: 2)
        let gate = Gate()
        let load = Task {
            try await cache.value(for: "k") {
                try await gate.wait()
                return "old"
            }
        }
        await until { cache.flights.waiterCount == 1 }
        await cache.remove("k")
        for index in 0..<10 { try await cache.set("other\(index)", index) }
        gate.open()
        _ = try await load.value
        #expect(await cache.get("k", as: String.self) == nil)
    }

    @Test(.enabled(if: TestRedis.isInstalled)) func `In Redis a value has a time to live`() async throws {
        try await withRedis { redis, _ in
            let cache = RedisCache(redis, timeout: .seconds(10))
            try await cache.set("k", 1, ttl: .seconds(100))
            guard case .remaining(let left) = try await redis.ttl("cache:v:k") else {
                throw AppError(.internal, "no time to live")
            }
            #expect(left > .seconds(80) && left <= .seconds(100))
        }
    }

    @Test(.enabled(if: TestRedis.isInstalled))
    func `When Redis is away values are loaded, and removals are sent when it is back`() async throws {
        try await withRedis { redis, server in
            let cache = RedisCache(redis, timeout: .seconds(10))
            try await cache.set("k", "old")
            try await cache.set("other", "kept")
            server.kill()
            let away = try await cache.value(for: "k") { "loaded" }
            #expect(away == "loaded")
            await cache.remove("k")
            try await server.restart()
            // The same values as before, as if Redis had kept them.
            try await eventually { try await redis.ping() }
            let other = RedisCache(redis, timeout: .seconds(10))
            try await other.set("k", "old")
            #expect(await cache.get("k", as: String.self) == nil)
            #expect(await other.get("k", as: String.self) == nil)
        }
    }

    @Test(.enabled(if: TestRedis.isInstalled))
    func `A load that began before a removal by another process is not joined after it`() async throws {
        try await withRedis { redis, _ in
            let caches = (0..<2).map { _ in RedisCache(redis, timeout: .seconds(10)) }
            let gate = Gate()
            let early = Task {
                try await caches[0].value(for: "k") {
                    try await gate.wait()
                    return "old"
                }
            }
            await until { caches[0].flights.waiterCount == 1 }
            await caches[1].remove("k")
            let late = try await caches[0].value(for: "k") { "new" }
            #expect(late == "new")
            gate.open()
            #expect(try await early.value == "old")
            #expect(await caches[1].get("k", as: String.self) == "new")
        }
    }

    @Test(
        .enabled(if: TestRedis.isInstalled),
        arguments: ["", "text", "v1234567", String(repeating: "\u{1}", count: 40)])
    func `What is stored in an unknown format is a miss, and is replaced`(stored: String) async throws {
        try await withRedis { redis, _ in
            let cache = RedisCache(redis, timeout: .seconds(10))
            try await redis.set("cache:v:k", stored)
            let loads = Counter()
            for _ in 0..<4 {
                let value = try await cache.value(for: "k") {
                    loads.increment()
                    return 1
                }
                #expect(value == 1)
            }
            #expect(loads.count == 2)
        }
    }

    @Test(.enabled(if: TestRedis.isInstalled))
    func `A value that cannot be stored removes the one that it was to replace`() async throws {
        try await withRedis { redis, _ in
            let cache = RedisCache(redis, timeout: .seconds(10))
            try await cache.set("k", "old")
            // From now on, Redis refuses writes and still answers reads.
            _ = try await redis.send(command("CONFIG", "SET", "maxmemory", "1"))
            try await cache.set("k", "new")
            #expect(await cache.get("k", as: String.self) == nil)
            _ = try await redis.send(command("CONFIG", "SET", "maxmemory", "0"))
            #expect(await cache.get("k", as: String.self) == nil)
        }
    }
}
