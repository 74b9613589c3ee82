import NIOCore
import Testing

@testable import ApusServer

@Suite struct ConnectionLifetimeTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func lifetime(_ change: (inout ServerLimits) -> Void = { _ in }, random: Double = 0) -> ConnectionLifetime {
        var limits = ServerLimits()
        change(&limits)
        return ConnectionLifetime(limits, now: start, random: random)
    }

    @Test func `A silent client is pinged, and its connection is aborted if it does not respond`() {
        var lifetime = lifetime()
        #expect(lifetime.tick(now: start + .seconds(60), hasStreams: true) == .none)
        #expect(lifetime.tick(now: start + .seconds(61), hasStreams: true) == .ping)
        #expect(lifetime.tick(now: start + .seconds(81), hasStreams: true) == .none)
        #expect(lifetime.tick(now: start + .seconds(82), hasStreams: true) == .abort)
    }

    @Test func `A client that responds is pinged again later, and a client without requests is never pinged`() {
        var lifetime = lifetime()
        #expect(lifetime.tick(now: start + .seconds(61), hasStreams: true) == .ping)
        lifetime.receivedBytes(now: start + .seconds(62))
        #expect(lifetime.tick(now: start + .seconds(100), hasStreams: true) == .none)
        #expect(lifetime.tick(now: start + .seconds(123), hasStreams: true) == .ping)
        var idle = self.lifetime()
        #expect(idle.tick(now: start + .hours(5), hasStreams: false) == .none)
    }

    @Test func `The third ping that comes too early is rejected, unless responses were sent in between`() {
        var lifetime = lifetime()
        let times = [0, 1, 2, 3].map { start + .seconds($0) }
        #expect(times.map { lifetime.receivedPing(now: $0) } == [false, false, false, true])
        var patient = self.lifetime()
        #expect((0..<100).allSatisfy { !patient.receivedPing(now: start + .seconds($0 * 10)) })
        var served = self.lifetime()
        for second in 0..<100 {
            let isTooOften = served.receivedPing(now: start + .seconds(Int64(second)))
            #expect(!isTooOften)
            served.sentResponse()
        }
    }

    @Test func `A connection is retired at its maximum age and aborted after the grace period`() {
        var lifetime = lifetime { $0.connectionAge = .seconds(100) }
        #expect(lifetime.tick(now: start + .seconds(99), hasStreams: false) == .none)
        #expect(lifetime.tick(now: start + .seconds(100), hasStreams: true) == .retire)
        lifetime.receivedBytes(now: start + .seconds(390))
        #expect(lifetime.tick(now: start + .seconds(400), hasStreams: true) == .none)
        #expect(lifetime.tick(now: start + .seconds(401), hasStreams: true) == .abort)
        var early = self.lifetime({ $0.connectionAge = .seconds(100) }, random: -1)
        #expect(early.tick(now: start + .seconds(90), hasStreams: false) == .retire)
    }
}
