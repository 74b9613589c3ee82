import NIOCore
import Testing

@testable import ApusServer

/// The machine, with its clock turned by hand.
private struct Fixture {
    var machine: HTTP1StateMachine
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    init(_ limits: ServerLimits = ServerLimits()) {
        machine = HTTP1StateMachine(limits: limits, now: now)
    }

    mutating func receive(_ text: String) -> [HTTP1StateMachine.Action] {
        machine.received(ByteBuffer(string: text), now: now)
        var actions: [HTTP1StateMachine.Action] = []
        while true {
            let action = machine.next()
            if case .wait = action { return actions }
            actions.append(action)
        }
    }

    mutating func tick(after seconds: Int64, pending: Int = 0, sent: Int = 0) -> HTTP1StateMachine.Expiry {
        now = now + .seconds(seconds)
        return machine.tick(now: now, elapsed: .seconds(seconds), pendingBytes: pending, sentBytes: sent)
    }

    mutating func respond() -> Bool? {
        let keepAlive = machine.beginResponse()
        if let keepAlive { _ = machine.endResponse(keepAlive: keepAlive, now: now) }
        return keepAlive
    }
}

@Suite struct HTTP1StateMachineTests {
    private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    private let upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"

    @Test func `A pipelined request waits for the response before it`() {
        var fixture = Fixture()
        #expect(fixture.receive(get + get).count == 1)
        #expect(fixture.machine.wantsRead)
        #expect(fixture.respond() == true)
        guard case .start = fixture.machine.next() else { Issue.record("The second request must start now."); return }
        guard case .wait = fixture.machine.next() else { Issue.record("There is no third one."); return }
    }

    @Test func `Pipelined bytes past the limit hold the client back`() {
        var limits = ServerLimits()
        limits.bufferedBytes = 100
        var fixture = Fixture(limits)
        _ = fixture.receive(get)
        #expect(fixture.machine.wantsRead)
        _ = fixture.receive(String(repeating: get, count: 10))
        #expect(!fixture.machine.wantsRead)
    }

    @Test func `No request starts while the client does not read its responses, and in the end it is cut off`() {
        var fixture = Fixture()
        fixture.machine.writabilityChanged(false)
        #expect(fixture.receive(get).isEmpty)
        #expect(!fixture.machine.wantsRead)
        #expect(fixture.tick(after: 59, pending: 1000) == .none)
        #expect(fixture.tick(after: 2, pending: 1000) == .close)
    }

    @Test func `A slow reader is left alone as long as it reads, whatever the other clocks say`() {
        var fixture = Fixture()
        _ = fixture.receive(get)
        _ = fixture.respond()
        for step in 0..<20 { #expect(fixture.tick(after: 30, pending: 1000, sent: step) == .none) }
        #expect(fixture.tick(after: 61, pending: 1000, sent: 19) == .close)

        var last = Fixture()
        _ = last.receive("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        _ = last.respond()
        #expect(last.machine.isLingering)
        for step in 0..<20 { #expect(last.tick(after: 5, pending: 1000, sent: step) == .none) }
        #expect(last.tick(after: 3) == .close)
    }

    @Test func `A connection without requests is closed after the idle time, not before`() {
        var fixture = Fixture()
        #expect(fixture.tick(after: 60) == .none)
        #expect(fixture.tick(after: 1) == .close)
    }

    @Test func `A head that does not end is answered 408 after its time, however it drips`() {
        var fixture = Fixture()
        for _ in 0..<10 {
            #expect(fixture.receive("G").isEmpty)
            #expect(fixture.tick(after: 1) == .none)
        }
        #expect(fixture.tick(after: 1) == .reject(.headTimeout))
    }

    @Test func `A body that drips is cut off after the grace; one that keeps up, or is not asked for, is not`() {
        var drip = Fixture()
        _ = drip.receive(upload)
        #expect(drip.tick(after: 5) == .none)
        _ = drip.receive("x")
        #expect(drip.tick(after: 1) == .failBody(.bodyTooSlow))

        var steady = Fixture()
        _ = steady.receive(upload)
        for _ in 0..<20 {
            _ = steady.receive(String(repeating: "x", count: 240))
            #expect(steady.tick(after: 1) == .none)
        }

        var held = Fixture()
        _ = held.receive(upload)
        held.machine.bodyWanted(false)
        #expect(!held.machine.wantsRead)
        #expect(held.tick(after: 20) == .none)
    }

    @Test func `A handler past its deadline is cancelled, and left behind when it does not heed that`() {
        var fixture = Fixture()
        _ = fixture.receive(get)
        #expect(fixture.tick(after: 30) == .none)
        #expect(fixture.tick(after: 1) == .cancel)
        #expect(fixture.tick(after: 4) == .none)
        #expect(fixture.tick(after: 1) == .abandon)
        #expect(fixture.machine.beginResponse() == nil)
    }

    @Test func `A body that nobody read is read past when it is small and ends the connection when it is large`() {
        var small = Fixture()
        _ = small.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        #expect(small.respond() == true)
        #expect(small.receive(String(repeating: "x", count: 1000) + get).count == 1)

        var large = Fixture()
        _ = large.receive(upload)
        #expect(large.respond() == false, "and the response says so")
        #expect(large.machine.isLingering)

        var chunked = Fixture()
        _ = chunked.receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        #expect(chunked.respond() == true)
        #expect(chunked.receive("11170\r\n" + String(repeating: "x", count: 70_000)).isEmpty)
        #expect(chunked.machine.isLingering)
    }

    @Test func `A body that nobody read and that does not come ends the connection soon`() {
        var fixture = Fixture()
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        #expect(fixture.respond() == true)
        #expect(fixture.tick(after: 5) == .none)
        #expect(fixture.tick(after: 1) == .close)
    }

    @Test func `A client that hangs up cancels its request, and its body fails`() {
        var fixture = Fixture()
        _ = fixture.receive(upload)
        _ = fixture.machine.inputClosed()
        guard case .failBody(.truncated) = fixture.machine.next() else { Issue.record("The body must fail."); return }
        #expect(fixture.machine.isAbandonedByPeer)
        #expect(fixture.respond() == false)

        var idle = Fixture()
        guard case .close = idle.machine.inputClosed() else { Issue.record("Nothing to wait for."); return }
    }

    @Test func `A client that ends its sending side after its request is served to the end`() {
        var fixture = Fixture()
        fixture.machine.bodyWanted(false)
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        _ = fixture.receive("all of it")
        _ = fixture.machine.inputClosed()
        #expect(!fixture.machine.isAbandonedByPeer)
        fixture.machine.bodyWanted(true)
        guard case .deliver = fixture.machine.next(), case .endBody = fixture.machine.next() else {
            Issue.record("The body is here and whole.")
            return
        }
        #expect(fixture.machine.isAbandonedByPeer)
        #expect(fixture.respond() == true)
        guard case .wait = fixture.machine.next() else { Issue.record("There is no more."); return }
    }

    @Test func `A connection that turns idle while the server stops is closed a second later`() {
        var fixture = Fixture()
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        #expect(fixture.respond() == true)
        _ = fixture.machine.drain()
        _ = fixture.receive("all of it")
        #expect(fixture.tick(after: 1) == .none)
        #expect(fixture.tick(after: 1) == .close)
    }

    @Test func `After a body that cannot be read no request follows, whatever the response said`() {
        var fixture = Fixture()
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        let keepAlive = fixture.machine.beginResponse()
        #expect(keepAlive == true)
        _ = fixture.receive("zz\r\n5\r\nGET /\r\n" + get)
        _ = fixture.machine.endResponse(keepAlive: true, now: fixture.now)
        #expect(fixture.machine.isLingering)
        guard case .wait = fixture.machine.next() else { Issue.record("Nothing more is read."); return }
    }

    @Test
    func
        `Draining closes idle connections, those in use a moment ago a second later, and the others after their response`()
    {
        var idle = Fixture()
        _ = idle.tick(after: 2)
        guard case .close = idle.machine.drain() else { Issue.record("It must close."); return }

        var recent = Fixture()
        guard case .wait = recent.machine.drain() else { Issue.record("A request may be on its way."); return }
        #expect(recent.tick(after: 1) == .none)
        #expect(recent.tick(after: 1) == .close)

        var onItsWay = Fixture()
        _ = onItsWay.machine.drain()
        #expect(onItsWay.receive(get).count == 1)
        #expect(onItsWay.respond() == false, "it is answered, and told that it was the last")
        #expect(onItsWay.machine.isLingering)

        var busy = Fixture()
        _ = busy.receive(get)
        guard case .wait = busy.machine.drain() else { Issue.record("It must wait."); return }
        #expect(busy.respond() == false)
        #expect(busy.machine.isLingering)
    }

    @Test func `A client that waits for 100 is not read from until the body is wanted`() {
        var fixture = Fixture()
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        #expect(!fixture.machine.wantsRead)
        fixture.machine.bodyWanted(true)
        #expect(fixture.machine.wantsRead)
    }
}
