import NIOCore
import Testing

@testable import ApusServer

/// A state machine with a manual clock.
private struct Fixture {
    var machine: HTTP2ConnectionStateMachine
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    init(_ limits: ServerLimits = ServerLimits()) {
        machine = HTTP2ConnectionStateMachine(limits, now: now, random: 0)
    }

    mutating func receiveHeaders(
        _ id: UInt32, isEnd: Bool = true, on stream: HTTP2ConnectionStateMachine.OpenStream? = nil
    ) throws(HTTP2Failure) -> HTTP2ConnectionStateMachine.HeadersAction {
        try machine.receivedHeaders(id, isEnd: isEnd, on: stream, now: now)
    }

    mutating func receiveData(
        _ id: UInt32, _ length: Int, isEmpty: Bool = false, on stream: HTTP2ConnectionStateMachine.OpenStream?
    ) throws(HTTP2Failure) -> HTTP2ConnectionStateMachine.DataAction {
        try machine.receivedData(id, length: length, isEmpty: isEmpty, on: stream, now: now)
    }

    mutating func close(_ id: UInt32, wasAborted: Bool = false) -> HTTP2ConnectionStateMachine.Action {
        machine.closedStream(id, wasAborted: wasAborted, now: now)
    }

    mutating func tick(
        after seconds: Int64, isWritable: Bool = true, hasUnsentBytes: Bool = false
    ) -> HTTP2ConnectionStateMachine.Action {
        now = now + .seconds(seconds)
        return machine.tick(now: now, isWritable: isWritable, hasUnsentBytes: hasUnsentBytes)
    }

    /// Returns the code with which an event ends the connection; `nil` if it does not.
    mutating func failure(
        _ event: (inout Fixture) throws(HTTP2Failure) -> Void
    ) -> HTTP2ErrorCode? {
        do {
            try event(&self)
            return nil
        } catch {
            return error.code
        }
    }
}

@Suite struct HTTP2ConnectionStateMachineTests {
    private let open = HTTP2ConnectionStateMachine.OpenStream(isRemoteEnded: false, window: 65_536)
    private let ended = HTTP2ConnectionStateMachine.OpenStream(isRemoteEnded: true, window: 65_536)

    // MARK: Streams

    @Test func `Streams are opened with ascending odd numbers`() throws {
        var fixture = Fixture()
        #expect(try fixture.receiveHeaders(1) == .open)
        #expect(try fixture.receiveHeaders(5) == .open)
        let even = fixture.failure { fixture throws(HTTP2Failure) in _ = try fixture.receiveHeaders(6) }
        #expect(even == .protocolError)
        let skipped = fixture.failure { fixture throws(HTTP2Failure) in _ = try fixture.receiveHeaders(3) }
        #expect(skipped == .streamClosed)
        #expect(fixture.machine.lastStreamID == 5)
    }

    @Test func `A second header ends the body, or its stream is reset`() throws {
        var fixture = Fixture()
        #expect(try fixture.receiveHeaders(1, isEnd: false) == .open)
        #expect(try fixture.receiveHeaders(1, isEnd: true, on: open) == .trailers)
        #expect(try fixture.receiveHeaders(1, isEnd: false, on: open) == .reset(.protocolError))
        #expect(try fixture.receiveHeaders(1, isEnd: true, on: ended) == .reset(.streamClosed))
    }

    @Test func `Streams beyond the limit are refused, and frames for them ignored`() throws {
        var limits = ServerLimits()
        limits.concurrentStreams = 1
        var fixture = Fixture(limits)
        #expect(try fixture.receiveHeaders(1) == .open)
        #expect(try fixture.receiveHeaders(3) == .refuse)
        #expect(try fixture.receiveHeaders(3) == .ignore)
        #expect(try fixture.receiveData(3, 10, on: nil) == .discard)
        #expect(fixture.close(1) == .none)
        #expect(try fixture.receiveHeaders(5) == .open)
    }

    @Test func `Frames for a stream that was reset are ignored, those for one that has ended are not`() throws {
        var fixture = Fixture()
        #expect(try fixture.receiveHeaders(1) == .open)
        #expect(try fixture.receiveHeaders(3) == .open)
        #expect(fixture.close(1, wasAborted: true) == .none)
        #expect(fixture.close(3) == .none)
        #expect(try fixture.receiveData(1, 10, on: nil) == .discard)
        let closed = fixture.failure { fixture throws(HTTP2Failure) in
            _ = try fixture.receiveData(3, 10, on: nil)
        }
        #expect(closed == .streamClosed)
        let future = fixture.failure { fixture throws(HTTP2Failure) in
            _ = try fixture.receiveData(5, 10, on: nil)
        }
        #expect(future == .protocolError)
    }

    @Test func `Resets and window updates must name a stream that exists or existed`() throws {
        var fixture = Fixture()
        #expect(try fixture.receiveHeaders(1) == .open)
        try fixture.machine.receivedReset(1, isAnswered: false, now: fixture.now)
        try fixture.machine.receivedWindowUpdate(forClosed: 1)
        for id: UInt32 in [0, 2, 3] {
            let reset = fixture.failure { fixture throws(HTTP2Failure) in
                try fixture.machine.receivedReset(id, isAnswered: nil, now: fixture.now)
            }
            #expect(reset == .protocolError)
        }
        let update = fixture.failure { fixture throws(HTTP2Failure) in
            try fixture.machine.receivedWindowUpdate(forClosed: 3)
        }
        #expect(update == .protocolError)
    }

    // MARK: Floods

    @Test func `Resets of unanswered streams are limited, those of answered or closed ones are not`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHeaders(1)
        for isAnswered in [true, nil] {
            for _ in 0..<1000 { try fixture.machine.receivedReset(1, isAnswered: isAnswered, now: fixture.now) }
        }
        for _ in 0..<FloodGate.limit { try fixture.machine.receivedReset(1, isAnswered: false, now: fixture.now) }
        let flood = fixture.failure { fixture throws(HTTP2Failure) in
            try fixture.machine.receivedReset(1, isAnswered: false, now: fixture.now)
        }
        #expect(flood == .enhanceYourCalm)
    }

    @Test func `A client may cancel as many more requests as it lets finish in the same time`() throws {
        var fixture = Fixture()
        for number in 0..<1000 {
            let id = UInt32(2 * number + 1)
            _ = try fixture.receiveHeaders(id)
            _ = fixture.close(id)
        }
        for _ in 0..<1000 + FloodGate.limit {
            try fixture.machine.receivedReset(1, isAnswered: false, now: fixture.now)
        }
        let flood = fixture.failure { fixture throws(HTTP2Failure) in
            try fixture.machine.receivedReset(1, isAnswered: false, now: fixture.now)
        }
        #expect(flood == .enhanceYourCalm)
        fixture.now = fixture.now + FloodGate.interval + .seconds(1)
        for _ in 0..<FloodGate.limit { try fixture.machine.receivedReset(1, isAnswered: false, now: fixture.now) }
        let next = fixture.failure { fixture throws(HTTP2Failure) in
            try fixture.machine.receivedReset(1, isAnswered: false, now: fixture.now)
        }
        #expect(next == .enhanceYourCalm, "what finished earlier no longer counts")
    }

    @Test func `Finished requests make up for no violations, and refused requests are limited`() throws {
        var fixture = Fixture()
        for number in 0..<1000 {
            let id = UInt32(2 * number + 1)
            _ = try fixture.receiveHeaders(id)
            _ = fixture.close(id)
        }
        for _ in 0..<FloodGate.limit { try fixture.machine.recordViolation(now: fixture.now) }
        let violation = fixture.failure { fixture throws(HTTP2Failure) in
            try fixture.machine.recordViolation(now: fixture.now)
        }
        #expect(violation == .enhanceYourCalm)

        var limits = ServerLimits()
        limits.concurrentStreams = 1
        var full = Fixture(limits)
        #expect(try full.receiveHeaders(1) == .open)
        for number in 1...FloodGate.limit {
            let action = try full.receiveHeaders(UInt32(2 * number + 1))
            #expect(action == .refuse)
        }
        let refusal = full.failure { fixture throws(HTTP2Failure) in
            _ = try fixture.receiveHeaders(UInt32(2 * FloodGate.limit + 3))
        }
        #expect(refusal == .enhanceYourCalm)
    }

    @Test func `Settings, empty frames and violations share one limit, which is lifted after a while`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHeaders(1)
        for _ in 0..<50 {
            try fixture.machine.receivedSettings(now: fixture.now)
            try fixture.machine.recordViolation(now: fixture.now)
            #expect(try fixture.receiveData(1, 0, isEmpty: true, on: open) == .deliver)
            #expect(try fixture.receiveData(1, 1, on: ended) == .discardAndReset(.streamClosed))
        }
        let flood = fixture.failure { fixture throws(HTTP2Failure) in
            try fixture.machine.receivedSettings(now: fixture.now)
        }
        #expect(flood == .enhanceYourCalm)
        fixture.now = fixture.now + FloodGate.interval + .seconds(1)
        try fixture.machine.receivedSettings(now: fixture.now)
    }

    // MARK: Windows

    @Test func `A client that exceeds a window loses the stream or the connection`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHeaders(1)
        fixture.machine.receivedSettingsAcknowledgement()
        let small = HTTP2ConnectionStateMachine.OpenStream(isRemoteEnded: false, window: 10)
        #expect(try fixture.receiveData(1, 10, on: small) == .deliver)
        #expect(try fixture.receiveData(1, 11, on: small) == .discardAndReset(.flowControlError))
        let exceeded = fixture.failure { fixture throws(HTTP2Failure) in
            _ = try fixture.receiveData(1, HTTP2ConnectionStateMachine.maximumReceived, on: open)
        }
        #expect(exceeded == .flowControlError)
    }

    @Test func `Until a client has acknowledged the settings, it may use the default window`() throws {
        var limits = ServerLimits()
        limits.bufferedBytes = 1000
        var fixture = Fixture(limits)
        _ = try fixture.receiveHeaders(1)
        let stream = HTTP2ConnectionStateMachine.OpenStream(isRemoteEnded: false, window: 1000)
        #expect(try fixture.receiveData(1, 65_535, on: stream) == .deliver)
        #expect(try fixture.receiveData(1, 65_536, on: stream) == .discardAndReset(.flowControlError))
        fixture.machine.receivedSettingsAcknowledgement()
        #expect(try fixture.receiveData(1, 1001, on: stream) == .discardAndReset(.flowControlError))
    }

    @Test func `The connection's window grows in quarters of its size`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHeaders(1)
        let quarter = HTTP2ConnectionStateMachine.maximumReceived / 4
        #expect(try fixture.receiveData(1, quarter, on: .init(isRemoteEnded: false, window: 1 << 20)) == .deliver)
        #expect(fixture.machine.window == 3 * quarter)
        #expect(fixture.machine.consumed(quarter) == nil)
        #expect(fixture.machine.consumed(1) == quarter + 1)
        #expect(fixture.machine.window == 4 * quarter + 1)
    }

    // MARK: Shutdown

    @Test func `A shutdown is announced, then finished when the client knows of it`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHeaders(1)
        #expect(fixture.machine.drain() == .announceShutdown)
        #expect(fixture.machine.drain() == .none)
        // A request in transit is still accepted.
        #expect(try fixture.receiveHeaders(3) == .open)
        #expect(fixture.machine.receivedPingAcknowledgement(HTTP2ConnectionStateMachine.keepalivePing) == .none)
        let finish = fixture.machine.receivedPingAcknowledgement(HTTP2ConnectionStateMachine.shutdownPing)
        #expect(finish == .goAway(last: 3, closes: false))
        #expect(try fixture.receiveHeaders(5) == .refuse)
        #expect(fixture.close(1) == .none)
        #expect(fixture.close(3) == .close)
    }

    @Test func `A shutdown is finished at the next tick if the client does not answer`() {
        var fixture = Fixture()
        #expect(fixture.machine.drain() == .announceShutdown)
        #expect(fixture.tick(after: 1) == .goAway(last: 0, closes: true))
        #expect(fixture.tick(after: 1) == .none)
    }

    @Test func `A connection closes once, and is cut off if the peer does not close it`() {
        var fixture = Fixture()
        #expect(fixture.machine.close(now: fixture.now) == true)
        #expect(fixture.machine.close(now: fixture.now) == false)
        #expect(fixture.tick(after: 2) == .none)
        #expect(fixture.tick(after: 30, hasUnsentBytes: true) == .none)
        #expect(fixture.tick(after: 1) == .abort)
    }

    @Test func `A client that has closed its side is answered before the connection closes`() throws {
        var idle = Fixture()
        #expect(idle.machine.inputClosed() == .close)
        var fixture = Fixture()
        _ = try fixture.receiveHeaders(1)
        #expect(fixture.machine.inputClosed() == .none)
        #expect(try fixture.receiveHeaders(3) == .refuse)
        #expect(fixture.close(1) == .close)
        #expect(fixture.machine.close(now: fixture.now) == true)
        #expect(fixture.machine.closedOutput() == true)
        var first = Fixture()
        #expect(first.machine.close(now: first.now) == true)
        #expect(first.machine.closedOutput() == false)
        #expect(first.machine.inputClosed() == .abort)
    }

    @Test func `No request is accepted while the connection closes`() throws {
        var fixture = Fixture()
        #expect(fixture.machine.close(now: fixture.now) == true)
        #expect(try fixture.receiveHeaders(1) == .refuse)
    }

    // MARK: Timeouts

    @Test func `An idle connection is closed, one with a request in flight is pinged`() throws {
        var idle = Fixture()
        #expect(idle.tick(after: 60) == .none)
        #expect(idle.tick(after: 1) == .goAway(last: 0, closes: true))
        var busy = Fixture()
        _ = try busy.receiveHeaders(1)
        #expect(busy.tick(after: 61) == .ping)
        #expect(busy.tick(after: 20) == .none)
        #expect(busy.tick(after: 1) == .abort)
    }

    @Test func `A client that accepts no output is not pinged`() throws {
        var fixture = Fixture()
        _ = try fixture.receiveHeaders(1)
        for _ in 0..<10 { #expect(fixture.tick(after: 61, isWritable: false) == .none) }
    }

    @Test func `A connection that has reached its age announces its shutdown`() throws {
        var limits = ServerLimits()
        limits.connectionAge = .seconds(30)
        limits.connectionAgeGrace = .seconds(10)
        var fixture = Fixture(limits)
        _ = try fixture.receiveHeaders(1)
        #expect(fixture.tick(after: 30) == .announceShutdown)
        #expect(fixture.tick(after: 1) == .goAway(last: 1, closes: false))
        #expect(fixture.tick(after: 9) == .none)
        #expect(fixture.tick(after: 1) == .abort)
    }

    @Test func `A client that pings too often is disconnected`() throws {
        var fixture = Fixture()
        for _ in 0..<3 { try fixture.machine.receivedPing(now: fixture.now) }
        let flood = fixture.failure { fixture throws(HTTP2Failure) in
            try fixture.machine.receivedPing(now: fixture.now)
        }
        #expect(flood == .enhanceYourCalm)
        var answered = Fixture()
        for _ in 0..<10 {
            try answered.machine.receivedPing(now: answered.now)
            answered.machine.sentResponse()
        }
    }
}
