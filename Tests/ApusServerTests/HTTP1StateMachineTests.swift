import NIOCore
import Testing

@testable import ApusServer

/// A state machine with a manual clock.
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

    @Test func `A pipelined request waits for the response to the previous one`() {
        var fixture = Fixture()
        #expect(fixture.receive(get + get).count == 1)
        #expect(fixture.machine.wantsRead)
        #expect(fixture.respond() == true)
        guard case .start = fixture.machine.next() else { Issue.record("The second request did not start."); return }
        guard case .wait = fixture.machine.next() else { Issue.record("A third request started."); return }
    }

    @Test func `Pipelined requests beyond the limit stop reading from the client`() {
        var limits = ServerLimits()
        limits.bufferedBytes = 100
        var fixture = Fixture(limits)
        _ = fixture.receive(get)
        #expect(fixture.machine.wantsRead)
        _ = fixture.receive(String(repeating: get, count: 10))
        #expect(!fixture.machine.wantsRead)
    }

    @Test func `No request starts while the client reads no responses, and its connection is eventually closed`() {
        var fixture = Fixture()
        fixture.machine.writabilityChanged(false)
        #expect(fixture.receive(get).isEmpty)
        #expect(!fixture.machine.wantsRead)
        #expect(fixture.tick(after: 59, pending: 1000) == .none)
        #expect(fixture.tick(after: 2, pending: 1000) == .close)
    }

    @Test func `A slow reader is not disconnected while it makes progress, whatever the other timeouts`() {
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

    @Test func `An upgraded connection is closed if its peer accepts nothing, but may be silent`() {
        var silent = Fixture()
        _ = silent.receive(get)
        _ = silent.machine.beginResponse(isStreamed: true)
        _ = silent.machine.upgrade()
        #expect(silent.tick(after: 3600) == .none)
        for step in 1..<20 { #expect(silent.tick(after: 30, pending: 1000, sent: step) == .none) }
        #expect(silent.tick(after: 61, pending: 1000, sent: 19) == .close)
    }

    @Test func `A write that waits is no progress, although encryption makes it longer`() {
        var fixture = Fixture()
        _ = fixture.receive(get)
        _ = fixture.respond()
        #expect(fixture.tick(after: 30, pending: 1000) == .none)
        #expect(fixture.tick(after: 29, pending: 1122, sent: -22) == .none)
        #expect(fixture.tick(after: 2, pending: 1244, sent: -44) == .close)

        var slow = Fixture()
        _ = slow.receive(get)
        _ = slow.respond()
        #expect(slow.tick(after: 59, pending: 1122, sent: -22) == .none)
        #expect(slow.tick(after: 1, pending: 1121, sent: -21) == .none, "one byte was accepted")
        #expect(slow.tick(after: 60, pending: 1121, sent: -21) == .none)
        #expect(slow.tick(after: 1, pending: 1121, sent: -21) == .close)
    }

    @Test func `A connection whose client leaves a response unread is closed at the response's deadline`() {
        var fixture = Fixture()
        _ = fixture.receive(get)
        let keepAlive = fixture.machine.beginResponse(expiry: fixture.now + .seconds(10))
        _ = fixture.machine.endResponse(keepAlive: keepAlive ?? false, now: fixture.now)
        #expect(fixture.tick(after: 10, pending: 1000) == .none)
        #expect(fixture.tick(after: 1, pending: 1000) == .close)

        var read = Fixture()
        _ = read.receive(get)
        let staysOpen = read.machine.beginResponse(expiry: read.now + .seconds(10))
        _ = read.machine.endResponse(keepAlive: staysOpen ?? false, now: read.now)
        #expect(read.tick(after: 11, sent: 1000) == .none)
        // The deadline is not that of the next response.
        _ = read.receive(get)
        _ = read.machine.beginResponse()
        #expect(read.tick(after: 1, pending: 1000, sent: 1000) == .none)
    }

    @Test func `A streamed response gets time to end itself after its deadline`() {
        var fixture = Fixture()
        _ = fixture.receive(get)
        _ = fixture.machine.beginResponse(isStreamed: true, expiry: fixture.now + .seconds(10))
        #expect(fixture.tick(after: 15) == .none)
        #expect(fixture.tick(after: 1) == .close)
    }

    @Test func `A connection without requests is closed after the idle timeout, not before`() {
        var fixture = Fixture()
        #expect(fixture.tick(after: 60) == .none)
        #expect(fixture.tick(after: 1) == .close)
    }

    @Test func `A head that does not end is answered 408 after its timeout, even if bytes keep arriving`() {
        var fixture = Fixture()
        for _ in 0..<10 {
            #expect(fixture.receive("G").isEmpty)
            #expect(fixture.tick(after: 1) == .none)
        }
        #expect(fixture.tick(after: 1) == .reject(.headTimeout))
    }

    @Test func `A slow body fails after the grace period; one that is fast enough or not wanted does not`() {
        var slow = Fixture()
        _ = slow.receive(upload)
        #expect(slow.tick(after: 5) == .none)
        _ = slow.receive("x")
        #expect(slow.tick(after: 1) == .failBody(.bodyTooSlow))

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

    @Test func `A handler past its deadline is cancelled, and abandoned if it does not return`() {
        var fixture = Fixture()
        _ = fixture.receive(get)
        #expect(fixture.tick(after: 30) == .none)
        #expect(fixture.tick(after: 1) == .cancel)
        #expect(fixture.tick(after: 4) == .none)
        #expect(fixture.tick(after: 1) == .abandon)
        #expect(fixture.machine.beginResponse() == nil)
    }

    @Test func `A small unread body is skipped; a large one ends the connection`() {
        var small = Fixture()
        _ = small.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        #expect(small.respond() == true)
        #expect(small.receive(String(repeating: "x", count: 1000) + get).count == 1)

        var large = Fixture()
        _ = large.receive(upload)
        #expect(large.respond() == false, "the response announces it")
        #expect(large.machine.isLingering)

        var chunked = Fixture()
        _ = chunked.receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        #expect(chunked.respond() == true)
        #expect(chunked.receive("11170\r\n" + String(repeating: "x", count: 70_000)).isEmpty)
        #expect(chunked.machine.isLingering)
    }

    @Test func `An unread body that does not arrive ends the connection after the grace period`() {
        var fixture = Fixture()
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        #expect(fixture.respond() == true)
        #expect(fixture.tick(after: 5) == .none)
        #expect(fixture.tick(after: 1) == .close)
    }

    @Test func `A client that disconnects cancels its request, and its body fails`() {
        var fixture = Fixture()
        _ = fixture.receive(upload)
        _ = fixture.machine.inputClosed()
        guard case .failBody(.truncated) = fixture.machine.next() else { Issue.record("The body must fail."); return }
        #expect(fixture.machine.isAbandonedByPeer)
        #expect(fixture.respond() == false)

        var idle = Fixture()
        guard case .close = idle.machine.inputClosed() else { Issue.record("It did not close."); return }
    }

    @Test func `A client that closes its sending side after its request still receives the response`() {
        var fixture = Fixture()
        fixture.machine.bodyWanted(false)
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        _ = fixture.receive("all of it")
        _ = fixture.machine.inputClosed()
        #expect(!fixture.machine.isAbandonedByPeer)
        fixture.machine.bodyWanted(true)
        guard case .deliver = fixture.machine.next(), case .endBody = fixture.machine.next() else {
            Issue.record("The body was not delivered completely.")
            return
        }
        #expect(fixture.machine.isAbandonedByPeer)
        #expect(fixture.respond() == true)
        guard case .wait = fixture.machine.next() else { Issue.record("Another request started."); return }
    }

    @Test func `A connection that becomes idle during shutdown is closed one second later`() {
        var fixture = Fixture()
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        #expect(fixture.respond() == true)
        _ = fixture.machine.drain()
        _ = fixture.receive("all of it")
        #expect(fixture.tick(after: 1) == .none)
        #expect(fixture.tick(after: 1) == .close)
    }

    @Test func `No request follows a malformed body, even if the response allowed keep-alive`() {
        var fixture = Fixture()
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        let keepAlive = fixture.machine.beginResponse()
        #expect(keepAlive == true)
        _ = fixture.receive("zz\r\n5\r\nGET /\r\n" + get)
        _ = fixture.machine.endResponse(keepAlive: true, now: fixture.now)
        #expect(fixture.machine.isLingering)
        guard case .wait = fixture.machine.next() else { Issue.record("Another request started."); return }
    }

    @Test func `Draining closes idle connections, recently used ones a second later, others after a response`() {
        var idle = Fixture()
        _ = idle.tick(after: 2)
        guard case .close = idle.machine.drain() else { Issue.record("The idle connection did not close."); return }

        var recent = Fixture()
        guard case .wait = recent.machine.drain() else { Issue.record("It closed too early."); return }
        #expect(recent.tick(after: 1) == .none)
        #expect(recent.tick(after: 1) == .close)

        var inTransit = Fixture()
        _ = inTransit.machine.drain()
        #expect(inTransit.receive(get).count == 1)
        #expect(inTransit.respond() == false, "the response announces that it is the last")
        #expect(inTransit.machine.isLingering)

        var busy = Fixture()
        _ = busy.receive(get)
        guard case .wait = busy.machine.drain() else { Issue.record("The busy connection closed."); return }
        #expect(busy.respond() == false)
        #expect(busy.machine.isLingering)
    }

    @Test func `Nothing is read from a client that waits for 100 Continue until the body is wanted`() {
        var fixture = Fixture()
        _ = fixture.receive("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        #expect(!fixture.machine.wantsRead)
        fixture.machine.bodyWanted(true)
        #expect(fixture.machine.wantsRead)
    }
}
