import Apus
import ApusSQLite
import ApusTesting
import Synchronization
import Testing

/// An engine without a server.
private final class FakeSharing: SharingEngine, SharedState {
    let name = "fake"
    let setting = "fake.url"
    let pubSub = MemoryPubSub()
    private let isAway = Mutex(false)
    private let closings = Mutex(0)

    var closeCount: Int { closings.withLock { $0 } }

    func set(away: Bool) { isAway.withLock { $0 = away } }

    func open(_ url: String, _ settings: SharingSettings) throws -> any SharedState {
        guard url == "fake:" else { throw AppError(.invalidArgument, "The URL must be fake:.") }
        return self
    }

    var parts: [SharedPart] {
        [SharedPart(pubSub, as: (any PubSub).self), SharedPart(self, as: FakeSharing.self)]
    }

    func checkHealth() async throws {
        if isAway.withLock({ $0 }) { throw AppError(.unavailable, "away") }
    }

    func close() async { closings.withLock { $0 += 1 } }
}

/// Refuses every request.
private struct Refusal: RateLimiter {
    func take(_ key: String, limit: RateLimitPolicy) -> RateLimitDecision {
        RateLimitDecision(isAllowed: false, remaining: 0, resetAfter: .seconds(1), retryAfter: .seconds(1))
    }
}

private struct OwnCacheModule: Module {
    let cache: MemoryCache

    func configure(_ app: inout AppBuilder) { app.provide((any Cache).self) { [cache] _ in cache } }
}

private struct LimitedModule: Module {
    func configure(_ app: inout AppBuilder) {
        app.routes { routes in
            routes.group("limited", .rateLimit(.perAddress, 5, per: .seconds(60))) { $0.get("") { "ok" } }
            let own = RateLimit(
                .perAddress, RateLimitPolicy(5, per: .seconds(60)), limiter: MemoryRateLimiter(), name: "own")
            routes.group("own", own) { $0.get("") { "ok" } }
        }
    }
}

@Suite struct SharingTests {
    @Test func `Without a URL every part is that of one process`() async throws {
        let sharing = FakeSharing()
        try await App("shop", engines: SQLiteEngine(), sharing: sharing) {}.test { app async throws in
            #expect(try app.resolve((any Cache).self) is MemoryCache)
            #expect(try app.resolve((any PubSub).self) is MemoryPubSub)
            #expect(try app.resolve((any PubSub).self) as? MemoryPubSub !== sharing.pubSub)
            #expect(try app.resolve((any RateLimiter).self) is MemoryRateLimiter)
            #expect(throws: StartupError.self) { try app.resolve(FakeSharing.self) }
            #expect(try await app.client.get("/health/ready").text == #"{"status":"ok"}"#)
        }
        #expect(sharing.closeCount == 0)
    }

    @Test func `With a URL the parts of the engine are provided, and it is closed at the end`() async throws {
        let sharing = FakeSharing()
        try await App("shop", sharing: sharing) {}.test(settings: ["fake.url": "fake:"]) { app async throws in
            #expect(try app.resolve((any PubSub).self) as? MemoryPubSub === sharing.pubSub)
            #expect(try app.resolve(FakeSharing.self) === sharing)
            // What the engine does not have.
            #expect(try app.resolve((any Cache).self) is MemoryCache)
            #expect(sharing.closeCount == 0)
        }
        #expect(sharing.closeCount == 1)
    }

    @Test func `A part that a module provides takes precedence`() async throws {
        let cache = MemoryCache()
        try await App("shop", sharing: FakeSharing()) { OwnCacheModule(cache: cache) }
            .test(settings: ["fake.url": "fake:"]) { app async throws in
                #expect(try app.resolve((any Cache).self) as? MemoryCache === cache)
            }
    }

    @Test func `A wrong URL stops the start and names the setting`() async throws {
        let error = await #expect(throws: StartupError.self) {
            try await App("shop", sharing: FakeSharing()) {}.test(settings: ["fake.url": "nonsense"]) { _ in }
        }
        #expect(
            error?.problems == ["fake.url (--fake-url, FAKE_URL) cannot be used: The URL must be fake:."])
    }

    @Test func `A process is ready but degraded while what is shared is away`() async throws {
        let sharing = FakeSharing()
        try await App("shop", sharing: sharing) {}.test(settings: ["fake.url": "fake:"]) { app async throws in
            #expect(try await app.client.get("/health/ready").text == #"{"status":"ok"}"#)
            sharing.set(away: true)
            let response = try await app.client.get("/health/ready")
            #expect(response.status == .ok)
            #expect(response.text == #"{"status":"degraded","unavailable":["fake"]}"#)
            sharing.set(away: false)
            #expect(try await app.client.get("/health/ready").text == #"{"status":"ok"}"#)
        }
    }

    @Test func `Rate limits are counted by the limiter of the app, unless they have their own`() async throws {
        let app = App("shop") { LimitedModule() }.override((any RateLimiter).self) { _ in Refusal() }
        try await app.test { app async throws in
            #expect(try await app.client.get("/limited").status == .tooManyRequests)
            #expect(try await app.client.get("/own").status == .ok)
        }
    }
}
