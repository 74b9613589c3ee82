import NIOCore
import Testing

@testable import ApusServer

/// A selector with a manual clock.
private struct Fixture {
    typealias Action = ProtocolSelector.Action

    private var selector: ProtocolSelector
    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    init(_ limits: ServerLimits = ServerLimits(), awaitsProxyHeader: Bool = false, isEncrypted: Bool = false) {
        selector = ProtocolSelector(
            limits: limits, awaitsProxyHeader: awaitsProxyHeader, isEncrypted: isEncrypted, now: now)
    }

    mutating func receive(_ bytes: some Sequence<UInt8>) -> Action {
        selector.received(ByteBuffer(bytes: bytes), now: now)
    }

    mutating func receive(_ text: String) -> Action { receive(text.utf8) }

    mutating func receiveProxyHeader() -> Action { selector.receivedProxyHeader(now: now) }

    mutating func completeHandshake(_ negotiatedProtocol: String?) -> Action {
        selector.completedHandshake(negotiatedProtocol: negotiatedProtocol, now: now)
    }

    mutating func closeInput() -> Action { selector.inputClosed() }

    mutating func drain() -> Action { selector.drain(now: now) }

    mutating func tick(after seconds: Int64) -> Action {
        now = now + .seconds(seconds)
        return selector.tick(now: now)
    }
}

@Suite struct ProtocolSelectorTests {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    // MARK: First bytes

    @Test func `A client that begins with the preface speaks HTTP/2, wherever the bytes are split`() {
        let bytes = Self.preface + [0, 0, 0, 4, 0, 0, 0, 0, 0]
        for split in 0...bytes.count {
            var fixture = Fixture()
            let first = fixture.receive(bytes[..<split])
            guard split < Self.preface.count else {
                #expect(first == .http2(ByteBuffer(bytes: bytes[..<split])), "split at \(split)")
                continue
            }
            #expect(first == .wait, "split at \(split)")
            #expect(fixture.receive(bytes[split...]) == .http2(ByteBuffer(bytes: bytes)), "split at \(split)")
        }
    }

    @Test func `The preface is recognised byte by byte`() {
        var fixture = Fixture()
        for byte in Self.preface.dropLast() { #expect(fixture.receive([byte]) == .wait) }
        #expect(fixture.receive(Self.preface.suffix(1)) == .http2(ByteBuffer(bytes: Self.preface)))
    }

    @Test func `The first byte that differs from the preface decides for HTTP/1.1`() {
        for count in 0..<Self.preface.count {
            let bytes = Array(Self.preface.prefix(count)) + [UInt8(ascii: "x")]
            var whole = Fixture()
            #expect(whole.receive(bytes) == .http1(ByteBuffer(bytes: bytes), headSince: whole.now), "\(count) bytes")

            var split = Fixture()
            #expect(split.receive(bytes.dropLast()) == .wait, "\(count) bytes")
            #expect(
                split.receive(bytes.suffix(1)) == .http1(ByteBuffer(bytes: bytes), headSince: split.now),
                "\(count) bytes")
        }
    }

    @Test(arguments: ["G", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n", "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "pri"])
    func `Anything else is HTTP/1.1 at once, even an empty line before the preface`(text: String) {
        var fixture = Fixture()
        #expect(fixture.receive(text) == .http1(ByteBuffer(string: text), headSince: fixture.now))
    }

    @Test func `A head is as old as its first byte, although the second one decided`() {
        var fixture = Fixture()
        let start = fixture.now
        #expect(fixture.receive("P") == .wait)
        #expect(fixture.tick(after: 5) == .wait)
        #expect(fixture.receive("OST") == .http1(ByteBuffer(string: "POST"), headSince: start))
    }

    @Test func `Nothing happens after the decision`() {
        var fixture = Fixture()
        _ = fixture.receive("GET")
        #expect(fixture.receive("x") == .wait)
        #expect(fixture.closeInput() == .wait)
        #expect(fixture.drain() == .wait)
        #expect(fixture.receiveProxyHeader() == .wait)
        #expect(fixture.completeHandshake("h2") == .wait)
        #expect(fixture.tick(after: 3600) == .wait)
    }

    // MARK: TLS and PROXY

    @Test func `The protocol that the handshake has negotiated is served at once`() {
        var http2 = Fixture(isEncrypted: true)
        #expect(http2.completeHandshake("h2") == .http2(ByteBuffer()))
        var http1 = Fixture(isEncrypted: true)
        #expect(http1.completeHandshake("http/1.1") == .http1(ByteBuffer(), headSince: nil))
    }

    @Test func `Without a negotiated protocol, the first bytes after the handshake decide`() {
        var http2 = Fixture(isEncrypted: true)
        #expect(http2.completeHandshake(nil) == .wait)
        #expect(http2.receive(Self.preface) == .http2(ByteBuffer(bytes: Self.preface)))
        var http1 = Fixture(isEncrypted: true)
        #expect(http1.completeHandshake(nil) == .wait)
        #expect(http1.receive("GET") == .http1(ByteBuffer(string: "GET"), headSince: http1.now))
    }

    @Test func `The PROXY header precedes the first bytes`() {
        var fixture = Fixture(awaitsProxyHeader: true)
        #expect(fixture.receiveProxyHeader() == .wait)
        #expect(fixture.receive(Self.preface) == .http2(ByteBuffer(bytes: Self.preface)))
    }

    @Test func `The PROXY header precedes the handshake`() {
        var fixture = Fixture(awaitsProxyHeader: true, isEncrypted: true)
        #expect(fixture.receiveProxyHeader() == .wait)
        #expect(fixture.completeHandshake("h2") == .http2(ByteBuffer()))
    }

    @Test(arguments: [(true, false), (false, true), (true, true)])
    func `Bytes that bypass the PROXY header or the handshake close the connection`(
        awaitsProxyHeader: Bool, isEncrypted: Bool
    ) {
        var fixture = Fixture(awaitsProxyHeader: awaitsProxyHeader, isEncrypted: isEncrypted)
        #expect(fixture.receive("GET") == .close)
    }

    // MARK: Timeouts

    @Test func `PROXY header and handshake share the time for a head, then the connection closes`() {
        var proxied = Fixture(awaitsProxyHeader: true)
        #expect(proxied.tick(after: 10) == .wait)
        #expect(proxied.tick(after: 1) == .close)

        var encrypted = Fixture(isEncrypted: true)
        #expect(encrypted.tick(after: 10) == .wait)
        #expect(encrypted.tick(after: 1) == .close)

        var both = Fixture(awaitsProxyHeader: true, isEncrypted: true)
        #expect(both.tick(after: 6) == .wait)
        #expect(both.receiveProxyHeader() == .wait)
        #expect(both.tick(after: 4) == .wait)
        #expect(both.tick(after: 1) == .close)
    }

    @Test func `A client that sends nothing is disconnected after the idle timeout, not before`() {
        var plain = Fixture()
        #expect(plain.tick(after: 60) == .wait)
        #expect(plain.tick(after: 1) == .close)

        var encrypted = Fixture(isEncrypted: true)
        #expect(encrypted.tick(after: 9) == .wait)
        #expect(encrypted.completeHandshake(nil) == .wait)
        #expect(encrypted.tick(after: 60) == .wait)
        #expect(encrypted.tick(after: 1) == .close)
    }

    @Test func `Part of the preface and no more is left to HTTP/1.1, as a head that has timed out`() {
        var fixture = Fixture()
        #expect(fixture.tick(after: 30) == .wait)
        let start = fixture.now
        for byte in Self.preface.prefix(10) {
            #expect(fixture.receive([byte]) == .wait)
            #expect(fixture.tick(after: 1) == .wait)
        }
        let received = ByteBuffer(bytes: Self.preface.prefix(10))
        #expect(fixture.tick(after: 1) == .http1(received, headSince: start))

        var machine = HTTP1StateMachine(limits: ServerLimits(), now: fixture.now, headSince: start)
        machine.received(received, now: fixture.now)
        guard case .wait = machine.next() else { Issue.record("A part of a head was accepted."); return }
        #expect(machine.tick(now: fixture.now, elapsed: .zero) == .reject(.headTimeout))
    }

    // MARK: Shutdown

    @Test func `A client that disconnects before the decision is disconnected`() {
        var silent = Fixture()
        #expect(silent.closeInput() == .close)
        var proxied = Fixture(awaitsProxyHeader: true)
        #expect(proxied.closeInput() == .close)
        var encrypted = Fixture(isEncrypted: true)
        #expect(encrypted.closeInput() == .close)
        for count in 1..<Self.preface.count {
            var fixture = Fixture()
            _ = fixture.receive(Self.preface.prefix(count))
            #expect(fixture.closeInput() == .close, "\(count) bytes")
        }
    }

    @Test func `Draining closes a silent connection; a new one gets a second for a request in transit`() {
        var silent = Fixture()
        #expect(silent.tick(after: 2) == .wait)
        #expect(silent.drain() == .close)

        var recent = Fixture()
        #expect(recent.drain() == .wait)
        #expect(recent.tick(after: 1) == .wait)
        #expect(recent.tick(after: 1) == .close)

        var inTransit = Fixture()
        #expect(inTransit.drain() == .wait)
        #expect(inTransit.receive("GET") == .http1(ByteBuffer(string: "GET"), headSince: inTransit.now))
    }

    @Test func `Draining ends a PROXY header or a handshake that takes longer than a second`() {
        for (awaitsProxyHeader, isEncrypted) in [(true, false), (false, true)] {
            var fixture = Fixture(awaitsProxyHeader: awaitsProxyHeader, isEncrypted: isEncrypted)
            #expect(fixture.drain() == .wait)
            #expect(fixture.tick(after: 1) == .wait)
            #expect(fixture.tick(after: 1) == .close)
        }
    }

    @Test func `Draining leaves a client that has begun to send the time for its head`() {
        var fixture = Fixture()
        #expect(fixture.receive("PRI") == .wait)
        #expect(fixture.tick(after: 5) == .wait)
        #expect(fixture.drain() == .wait)
        #expect(fixture.tick(after: 5) == .wait)
        #expect(fixture.receive(Self.preface.dropFirst(3)) == .http2(ByteBuffer(bytes: Self.preface)))
    }
}
