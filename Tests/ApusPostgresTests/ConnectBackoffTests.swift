import NIOCore
import Testing

@testable import ApusPostgres

struct ConnectBackoffTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func `Without a failure, any number of connections may be opened at once`() {
        let backoff = ConnectBackoff()
        #expect(backoff.allows(now: start, connecting: 0) && backoff.allows(now: start, connecting: 3))
    }

    @Test func `After a failure, one attempt at a time begins after a delay`() {
        var backoff = ConnectBackoff()
        backoff.failed(now: start, random: 1)
        #expect(!backoff.allows(now: start, connecting: 0))
        let later = start + .milliseconds(20)
        #expect(backoff.allows(now: later, connecting: 0) && !backoff.allows(now: later, connecting: 1))
        backoff.succeeded()
        #expect(backoff.allows(now: start, connecting: 3))
    }

    @Test func `Delays grow up to a limit, and attempts that began together count once`() {
        var backoff = ConnectBackoff()
        var now = start
        var delays: [TimeAmount] = []
        for _ in 0..<8 {
            for _ in 0..<4 { backoff.failed(now: now, random: 1) }
            delays.append(backoff.next - now)
            now = backoff.next
        }
        #expect(delays == [20, 40, 80, 160, 320, 500, 500, 500].map { .milliseconds($0) })
    }
}
