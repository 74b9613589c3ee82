import NIOCore
import Testing

@testable import ApusServer

@Suite struct ConnectionLifeTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func life(_ change: (inout ServerLimits) -> Void = { _ in }, random: Double = 0) -> ConnectionLife {
        var limits = ServerLimits()
        change(&limits)
        return ConnectionLife(limits, now: start, random: random)
    }

    @Test func `A client that sends nothing is asked whether it is there, and given up when it says nothing`() {
        var life = life()
        #expect(life.tick(now: start + .seconds(60), hasStreams: true) == .none)
        #expect(life.tick(now: start + .seconds(61), hasStreams: true) == .ping)
        #expect(life.tick(now: start + .seconds(81), hasStreams: true) == .none)
        #expect(life.tick(now: start + .seconds(82), hasStreams: true) == .abort)
    }

    @Test func `A client that answers is asked again after a while, and one without requests never`() {
        var life = life()
        #expect(life.tick(now: start + .seconds(61), hasStreams: true) == .ping)
        life.read(now: start + .seconds(62))
        #expect(life.tick(now: start + .seconds(100), hasStreams: true) == .none)
        #expect(life.tick(now: start + .seconds(123), hasStreams: true) == .ping)
        var idle = self.life()
        #expect(idle.tick(now: start + .hours(5), hasStreams: false) == .none)
    }

    @Test func `A client that asks too often is told so the third time, unless it was sent something meanwhile`() {
        var life = life()
        let times = [0, 1, 2, 3].map { start + .seconds($0) }
        #expect(times.map { life.pinged(now: $0) } == [false, false, false, true])
        var patient = self.life()
        #expect((0..<100).allSatisfy { !patient.pinged(now: start + .seconds($0 * 10)) })
        var served = self.life()
        for second in 0..<100 {
            let isTooOften = served.pinged(now: start + .seconds(Int64(second)))
            #expect(!isTooOften)
            served.wrote()
        }
    }

    @Test func `A connection of age takes no new requests, and ends when those it has have had their time`() {
        var life = life { $0.connectionAge = .seconds(100) }
        #expect(life.tick(now: start + .seconds(99), hasStreams: false) == .none)
        #expect(life.tick(now: start + .seconds(100), hasStreams: true) == .retire)
        life.read(now: start + .seconds(390))
        #expect(life.tick(now: start + .seconds(400), hasStreams: true) == .none)
        #expect(life.tick(now: start + .seconds(401), hasStreams: true) == .abort)
        var early = self.life({ $0.connectionAge = .seconds(100) }, random: -1)
        #expect(early.tick(now: start + .seconds(90), hasStreams: false) == .retire)
    }
}
