import ApusRedis
import ApusTesting
import NIOCore
import Testing

/// Subscriptions of one channel that end and begin in quick succession.
@Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct SubscriptionOrderTests {
    @Test func `A channel that is left and subscribed to again at once is not lost`() async throws {
        try await withRedis { redis, _ in
            for round in 0..<200 {
                let left = try await redis.subscribe(to: "news")
                left.cancel()
                let messages = try await redis.subscribe(to: "news")
                #expect(try await redis.publish("\(round)", to: "news") == 1)
                var iterator = messages.makeAsyncIterator()
                let event = try await iterator.next()
                #expect(event == .message(channel: "news", ByteBuffer(string: "\(round)")))
            }
        }
    }
}
