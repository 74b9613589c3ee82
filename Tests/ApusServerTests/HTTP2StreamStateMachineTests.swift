import HTTPTypes
import NIOCore
import NIOHPACK
import Testing

@testable import ApusServer

/// A state machine with a manual clock.
private struct Fixture {
    var limits = ServerLimits()
    var machine: HTTP2StreamStateMachine
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    init(isEnd: Bool = false, window: Int = 65_536) {
        machine = HTTP2StreamStateMachine(isEnd: isEnd, window: window, now: now)
    }

    mutating func receiveHead(length: Int? = nil, expects: Bool = false) throws -> HTTP2StreamStateMachine.Action {
        var headers: HPACKHeaders = [":method": "POST", ":scheme": "http", ":authority": "a", ":path": "/"]
        if let length { headers.add(name: "content-length", value: "\(length)") }
        if expects { headers.add(name: "expect", value: "100-continue") }
        var table = FieldTable()
        return machine.received(try HTTP2RequestHead(headers, limits: limits, &table))
    }

    mutating func receive(
        _ text: String, padding: Int = 0, isEnd: Bool = false
    ) -> HTTP2StreamStateMachine.Action {
        machine.received(ByteBuffer(string: text), padding: padding, isEnd: isEnd)
    }

    mutating func tick(
        after seconds: Int64, hasConnectionWindow: Bool = true
    ) -> HTTP2StreamStateMachine.Expiry {
        now = now + .seconds(seconds)
        return machine.tick(
            limits, now: now, elapsed: .seconds(seconds), lastWindowChange: .uptimeNanoseconds(0),
            hasConnectionWindow: hasConnectionWindow)
    }
}

extension HTTP2StreamStateMachine.Action {
    /// A description that tests can compare.
    fileprivate var summary: String {
        switch self {
        case .none: "none"
        case .start(_, .complete(let bytes)): "start with \(String(buffer: bytes))"
        case .start(_, .incoming(let bytes)): "start after \(String(buffer: bytes))"
        case .deliver(let bytes, let isEnd): "deliver \(String(buffer: bytes))\(isEnd ? ", end" : "")"
        case .endBody(let trailers): "end with \(trailers.count) trailers"
        case .discard(let count): "discard \(count)"
        case .reset(_, let count): "reset, discard \(count)"
        }
    }
}

@Suite struct HTTP2StreamStateMachineTests {
    @Test func `A request that ends with its header starts at once`() throws {
        var fixture = Fixture(isEnd: true)
        #expect(try fixture.receiveHead().summary == "start with ")
        #expect(fixture.machine.isRemoteEnded)
        #expect(!fixture.machine.isPending)
    }

    @Test func `A body that arrives in one read is complete when its request starts`() throws {
        var fixture = Fixture()
        #expect(try fixture.receiveHead().summary == "none")
        #expect(fixture.machine.isPending)
        #expect(fixture.receive("abc").summary == "none")
        #expect(fixture.receive("def", isEnd: true).summary == "start with abcdef")
        #expect(fixture.machine.startPending().summary == "none")
    }

    @Test func `A request starts without its whole body at the end of the read`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHead()
        _ = fixture.receive("abc")
        #expect(fixture.machine.startPending().summary == "start after abc")
        #expect(fixture.receive("def").summary == "deliver def")
        #expect(fixture.receive("").summary == "none")
        #expect(fixture.receive("g", isEnd: true).summary == "deliver g, end")
        #expect(fixture.machine.isRemoteEnded)
    }

    @Test func `A request whose body is large starts before the end of the read`() throws {
        var fixture = Fixture(window: 1 << 20)
        _ = try fixture.receiveHead()
        let text = String(repeating: "x", count: 65_537)
        #expect(fixture.receive(text).summary == "start after \(text)")
        #expect(fixture.receive("", isEnd: true).summary == "end with 0 trailers")
    }

    @Test(arguments: [(2, "abc", false), (4, "abc", true), (0, "a", false)])
    func `A body of another than its declared length resets the stream`(
        length: Int, text: String, isEnd: Bool
    ) throws {
        var fixture = Fixture()
        _ = try fixture.receiveHead(length: length)
        #expect(fixture.receive(text, isEnd: isEnd).summary == "reset, discard \(text.utf8.count)")
        #expect(fixture.machine.isMalformed)
    }

    @Test func `A declared length without a body resets the stream`() throws {
        var fixture = Fixture(isEnd: true)
        #expect(try fixture.receiveHead(length: 1).summary == "reset, discard 0")
        var late = Fixture()
        _ = try late.receiveHead(length: 4)
        #expect(late.receive("abc").summary == "none")
        // The collected bytes return to the window of the connection.
        #expect(late.receive("de").summary == "reset, discard 5")
        #expect(late.machine.closed() == 0)
    }

    @Test func `Trailers end the body, unless they are malformed or bytes are missing`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHead(length: 1)
        _ = fixture.machine.startPending()
        #expect(fixture.receive("a").summary == "deliver a")
        #expect(fixture.machine.received(trailers: [.eTag: "x"]).summary == "end with 1 trailers")
        var malformed = Fixture()
        _ = try malformed.receiveHead()
        _ = malformed.machine.startPending()
        #expect(malformed.machine.received(trailers: nil).summary == "reset, discard 0")
        var short = Fixture()
        _ = try short.receiveHead(length: 1)
        _ = short.machine.startPending()
        #expect(short.machine.received(trailers: [:]).summary == "reset, discard 0")
    }

    @Test func `The window shrinks with bytes and padding, and grows in halves of its size`() throws {
        var fixture = Fixture(window: 65_536)
        _ = try fixture.receiveHead()
        _ = fixture.machine.startPending()
        _ = fixture.receive(String(repeating: "x", count: 40_000), padding: 10)
        #expect(fixture.machine.window == 25_526)
        #expect(fixture.machine.consumed(20_000, limits: fixture.limits) == nil)
        #expect(fixture.machine.consumed(20_010, limits: fixture.limits) == 40_010)
        #expect(fixture.machine.window == 65_536)
    }

    @Test func `A window does not grow once its stream has ended or was answered`() throws {
        var ended = Fixture()
        _ = try ended.receiveHead()
        _ = ended.receive("a", isEnd: true)
        #expect(ended.machine.consumed(65_536, limits: ended.limits) == nil)
        var answered = Fixture()
        _ = try answered.receiveHead()
        _ = answered.machine.startPending()
        #expect(answered.machine.beginResponse() == true)
        answered.machine.endedResponse(now: answered.now)
        #expect(answered.receive("abc").summary == "discard 3")
        #expect(answered.machine.consumed(65_536, limits: answered.limits) == nil)
    }

    @Test func `100 is sent once, on demand, and not after bytes or a response`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHead(expects: true)
        _ = fixture.machine.startPending()
        #expect(fixture.machine.bodyWanted() == true)
        #expect(fixture.machine.bodyWanted() == false)
        var received = Fixture()
        _ = try received.receiveHead(expects: true)
        _ = received.receive("a")
        _ = received.machine.startPending()
        #expect(received.machine.bodyWanted() == false)
        var answered = Fixture()
        _ = try answered.receiveHead(expects: true)
        _ = answered.machine.startPending()
        #expect(answered.machine.beginResponse() == true)
        #expect(answered.machine.bodyWanted() == false)
    }

    @Test func `Only the first response is sent, and none on a closed stream`() throws {
        var fixture = Fixture(isEnd: true)
        _ = try fixture.receiveHead()
        #expect(fixture.machine.beginResponse() == true)
        #expect(fixture.machine.beginResponse() == false)
        var closed = Fixture(isEnd: true)
        _ = try closed.receiveHead()
        #expect(closed.machine.closed() == 0)
        #expect(!closed.machine.awaitsHandler)
        #expect(closed.machine.beginResponse() == false)
    }

    @Test func `A stream is done when both sides have ended, in either order`() throws {
        var fixture = Fixture(isEnd: true)
        _ = try fixture.receiveHead()
        _ = fixture.machine.beginResponse()
        fixture.machine.endedResponse(now: fixture.now)
        #expect(!fixture.machine.isDone)
        fixture.machine.sentEnd()
        #expect(fixture.machine.isDone)
        var early = Fixture()
        _ = try early.receiveHead()
        _ = early.machine.startPending()
        _ = early.machine.beginResponse()
        early.machine.sentEnd()
        early.machine.endedResponse(now: early.now)
        #expect(!early.machine.isDone)
        _ = early.receive("", isEnd: true)
        #expect(early.machine.isDone)
    }

    @Test func `A stream that was answered before its body is reset a second later`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHead()
        _ = fixture.machine.startPending()
        _ = fixture.machine.beginResponse()
        fixture.machine.endedResponse(now: fixture.now)
        fixture.machine.deliveredResponse(now: fixture.now)
        #expect(fixture.tick(after: 1) == .none)
        #expect(fixture.tick(after: 1) == .reset(.noError))
    }

    @Test func `A handler is cancelled at its deadline and abandoned after its grace`() throws {
        var fixture = Fixture(isEnd: true)
        _ = try fixture.receiveHead()
        #expect(fixture.tick(after: 30) == .none)
        #expect(fixture.tick(after: 1) == .cancel)
        #expect(fixture.tick(after: 3) == .none)
        #expect(fixture.tick(after: 2) == .abandon)
        #expect(!fixture.machine.awaitsHandler)
        #expect(fixture.machine.beginResponse() == true)
    }

    @Test func `A slow body fails, but not while it cannot be sent`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHead()
        _ = fixture.machine.startPending()
        #expect(fixture.tick(after: 20, hasConnectionWindow: false) == .none)
        #expect(fixture.tick(after: 4) == .none)
        #expect(fixture.tick(after: 2) == .failBody)
        #expect(fixture.receive("abc").summary == "discard 3")

        var full = Fixture(window: 1)
        _ = try full.receiveHead()
        _ = full.receive("a")
        _ = full.machine.startPending()
        #expect(full.tick(after: 20) == .none)

        var expecting = Fixture()
        _ = try expecting.receiveHead(expects: true)
        _ = expecting.machine.startPending()
        #expect(expecting.tick(after: 20) == .none)

        var bidirectional = Fixture()
        _ = try bidirectional.receiveHead()
        _ = bidirectional.machine.startPending()
        _ = bidirectional.machine.beginResponse(mayPause: true)
        #expect(bidirectional.tick(after: 20) == .none)
    }

    @Test func `A client that does not read its response is reset, unless it makes progress`() throws {
        var fixture = Fixture(isEnd: true)
        _ = try fixture.receiveHead()
        _ = fixture.machine.beginResponse()
        fixture.machine.queued(100_000)
        #expect(fixture.machine.isFull(fixture.limits))
        #expect(fixture.tick(after: 59) == .none)
        fixture.machine.sent(50_000, now: fixture.now)
        #expect(!fixture.machine.isFull(fixture.limits))
        #expect(fixture.tick(after: 59) == .none)
        fixture.machine.windowChanged(now: fixture.now)
        #expect(fixture.tick(after: 59) == .none)
        #expect(fixture.tick(after: 2) == .reset(.cancel))
    }

    @Test func `A response that waits for its client is reset at its deadline`() throws {
        var fixture = Fixture(isEnd: true)
        _ = try fixture.receiveHead()
        _ = fixture.machine.beginResponse(expiry: fixture.now + .seconds(10))
        fixture.machine.queued(1)
        #expect(fixture.tick(after: 10) == .none)
        #expect(fixture.tick(after: 1) == .reset(.cancel))

        var ended = Fixture(isEnd: true)
        _ = try ended.receiveHead()
        _ = ended.machine.beginResponse(expiry: ended.now + .seconds(10))
        ended.machine.endedResponse(now: ended.now)
        #expect(ended.tick(after: 11) == .reset(.cancel))

        var sent = Fixture(isEnd: true)
        _ = try sent.receiveHead()
        _ = sent.machine.beginResponse(expiry: sent.now + .seconds(10))
        sent.machine.endedResponse(now: sent.now)
        sent.machine.sentEnd()
        #expect(sent.tick(after: 11) == .none)
    }

    @Test func `A response whose client has read everything gets time to end itself after its deadline`() throws {
        var fixture = Fixture(isEnd: true)
        _ = try fixture.receiveHead()
        _ = fixture.machine.beginResponse(expiry: fixture.now + .seconds(10))
        #expect(fixture.tick(after: 15) == .none)
        #expect(fixture.tick(after: 1) == .reset(.cancel))
    }

    @Test func `An upgraded stream has no deadline`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHead()
        _ = fixture.machine.startPending()
        fixture.machine.upgrade()
        #expect(fixture.tick(after: 3600) == .none)
        #expect(fixture.machine.acceptsBytes)
        #expect(fixture.receive("abc").summary == "deliver abc")
    }

    @Test func `Bytes collected for a request that never starts are returned when its stream is closed`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHead()
        _ = fixture.receive("abc")
        #expect(fixture.machine.closed() == 3)
        #expect(fixture.machine.closed() == 0)
        #expect(fixture.machine.startPending().summary == "none")
    }

    @Test func `A response counts as answered once a part of it was sent`() throws {
        var fixture = Fixture(isEnd: true)
        _ = try fixture.receiveHead()
        _ = fixture.machine.beginResponse()
        #expect(!fixture.machine.isAnswered)
        fixture.machine.sentData()
        #expect(fixture.machine.isAnswered)
    }
}
