import ApusCore
import ApusHTTP
import ApusTesting
import HTTPTypes
import NIOCore
import Testing

@testable import ApusRateLimit

@Suite struct RateLimitTests {
    private let clock = ManualClock()
    private let policy = RateLimitPolicy(5, per: .seconds(10))

    @Test func `A burst of the full quota is allowed, one more request is not, and the quota is refilled gradually`() {
        let limiter = MemoryRateLimiter(clock: clock)
        let remaining = (0..<5).map { _ in limiter.take("k", limit: policy).remaining }
        #expect(remaining == [4, 3, 2, 1, 0])
        let rejected = limiter.take("k", limit: policy)
        #expect(!rejected.isAllowed)
        #expect(rejected.retryAfter == .seconds(2))
        clock.advance(by: .milliseconds(1999))
        #expect(!limiter.take("k", limit: policy).isAllowed)
        clock.advance(by: .milliseconds(1))
        #expect(limiter.take("k", limit: policy).isAllowed)
        #expect(!limiter.take("k", limit: policy).isAllowed)
        #expect(limiter.take("other", limit: policy).isAllowed)
        clock.advance(by: .seconds(3600))
        #expect(limiter.take("k", limit: policy).remaining == 4)
    }

    @Test func `The limit is exact with concurrent tasks`() async {
        let limiter = MemoryRateLimiter(clock: clock)
        let allowed = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<500).count { _ in limiter.take("k", limit: RateLimitPolicy(100, per: .seconds(60))).isAllowed }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(allowed == 100)
    }

    @Test(arguments: [
        RateLimitPolicy(0, per: .zero), RateLimitPolicy(.max, per: .seconds(1)), RateLimitPolicy(5, per: .seconds(-5)),
        RateLimitPolicy(1, per: .seconds(Int64.max / 4)),
    ]) func `A policy with extreme values does not crash`(policy: RateLimitPolicy) {
        let limiter = MemoryRateLimiter(clock: clock)
        for _ in 0..<3 { _ = limiter.take("k", limit: policy) }
    }

    @Test func `The number of keys is bounded, and a key in use is not evicted`() {
        let limiter = MemoryRateLimiter(maximumKeys: 256, clock: clock)
        for _ in 0..<5 { _ = limiter.take("hot", limit: policy) }
        for number in 0..<20_000 { _ = limiter.take("k\(number)", limit: policy) }
        #expect(!limiter.take("hot", limit: policy).isAllowed)
    }

    @Test func `A response to a body in an unknown coding has RateLimit fields`() async throws {
        let limit = RateLimit(
            .perAddress, RateLimitPolicy(2, per: .seconds(10)), limiter: MemoryRateLimiter(clock: clock), name: "test")
        let routes = Routes()
        routes.group(limit) { $0.post("", RawBody()) { _ in "read" } }
        let router = try Router(routes)
        let response = await chain([Decompression()]) { await router.respond(to: $0) }(
            Request(
                method: .post, target: "/", headers: [.contentEncoding: "br"],
                body: RequestBody(ByteBuffer(string: "x")), remoteAddress: "10.0.0.1"))
        #expect(response.status == .unsupportedMediaType)
        #expect(response.headers[.acceptEncoding]?.contains("gzip") == true)
        #expect(response.headers[HTTPField.Name("RateLimit-Remaining")!] == "1")
    }

    @Test func `All responses of a rate-limited route have RateLimit fields, including handler errors and 429`()
        async throws
    {
        let limit = RateLimit(
            .perAddress, RateLimitPolicy(2, per: .seconds(10)), limiter: MemoryRateLimiter(clock: clock), name: "test")
        func response(_ address: String) async -> Response {
            await chain([limit]) { _ in throw AppError(.notFound, "Not found.") }(
                Request(method: .get, target: "/", remoteAddress: address))
        }
        let first = await response("10.0.0.1")
        #expect(first.headers[HTTPField.Name("RateLimit-Limit")!] == "2")
        #expect(first.headers[HTTPField.Name("RateLimit-Remaining")!] == "1")
        #expect(first.headers[HTTPField.Name("RateLimit-Reset")!] == "5")
        #expect(first.status == .notFound)
        _ = await response("10.0.0.1")
        let rejected = await response("10.0.0.1")
        #expect(rejected.status == .tooManyRequests)
        #expect(rejected.headers[.retryAfter] == "5")
        #expect(rejected.headers[HTTPField.Name("RateLimit-Limit")!] == "2")
        #expect(rejected.headers[HTTPField.Name("RateLimit-Remaining")!] == "0")
        #expect(rejected.headers[HTTPField.Name("RateLimit-Reset")!] == "10")
        #expect(await response("10.0.0.2").status == .notFound)
    }

    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8::1", "2001:db8:0:0::/64"),
        ("::1", "0:0:0:0::/64"), ("::ffff:10.0.0.1", "10.0.0.1"),
    ])
    func `An IPv6 address is counted by its /64 network`(address: String, network: String) {
        #expect(RateLimit.network(of: address) == network)
    }
}
