import Apus
import ApusRedis
import ApusTesting
import Testing

private struct LimitedModule: Module {
    func configure(_ app: inout AppBuilder) {
        app.routes { routes in
            routes.group(.rateLimit(.perAddress, 2, per: .seconds(3600))) { $0.get("limited") { "ok" } }
        }
    }
}

@Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct RedisSharingTests {
    private let app = App("shop", sharing: RedisSharing()) { LimitedModule() }

    @Test func `The parts of two processes with the same Redis are connected`() async throws {
        try await TestRedis.run { server in
            try await app.test(settings: ["redis.url": server.url]) { first in
                try await app.test(settings: ["redis.url": server.url]) { second in
                    let caches = (try first.resolve((any Cache).self), try second.resolve((any Cache).self))
                    // On a busy machine, a cache may not wait long enough for Redis.
                    var isShared = false
                    for attempt in 0..<100 where !isShared {
                        let key = CacheKey("a\(attempt)")
                        let sent = try await caches.0.value(for: key, ttl: .seconds(60)) { "value" }
                        let read = try await caches.1.value(for: key, ttl: .seconds(60)) { "other" }
                        isShared = sent == "value" && read == "value"
                    }
                    #expect(isShared)
                    let events = try await second.resolve((any PubSub).self).subscribe(to: "a")
                    try await first.resolve((any PubSub).self).publish([1], to: "a")
                    var iterator = events.makeAsyncIterator()
                    #expect(try await iterator.next() == .message([1]))
                    #expect(try await first.client.get("/health/ready").text == #"{"status":"ok"}"#)
                    let names = try await first.resolve(RedisClient.self).send(command("KEYS", "*"), as: [String].self)
                    #expect(names.allSatisfy { $0.hasPrefix("shop:") })
                }
            }
        }
    }

    @Test func `Without Redis requests are served, and the health report says what is missing`() async throws {
        let server = try await TestRedis.start()
        defer { server.stop() }
        server.kill()
        try await app.test(settings: ["redis.url": server.url]) { app in
            let statuses = [
                try await app.client.get("/limited").status.code, try await app.client.get("/limited").status.code,
                try await app.client.get("/limited").status.code,
            ]
            #expect(statuses == [200, 200, 429])
            let ready = try await app.client.get("/health/ready")
            #expect(ready.status == .ok)
            #expect(ready.text == #"{"status":"degraded","unavailable":["redis"]}"#)
        }
    }

    @Test func `A wrong URL stops the start, and the message does not contain the password`() async throws {
        let error = await #expect(throws: StartupError.self) {
            try await app.test(settings: ["redis.url": "http://user:secret@host"]) { _ in }
        }
        #expect(error?.description.contains("redis.url (--redis-url, REDIS_URL)") == true)
        #expect(error?.description.contains("secret") == false)
    }
}
