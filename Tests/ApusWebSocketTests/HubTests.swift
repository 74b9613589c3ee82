import ApusCore
import NIOCore
import Synchronization
import Testing

@testable import ApusWebSocket

/// A value that counts how often it is encoded.
private final class CountedValue: Encodable, Sendable {
    private let count = Mutex(0)

    var encodings: Int { count.withLock { $0 } }

    func encode(to encoder: any Encoder) throws {
        count.withLock { $0 += 1 }
        var container = encoder.singleValueContainer()
        try container.encode("x")
    }
}

extension HubMember.Event {
    /// The text of a short message; `nil` for a gap.
    var text: String? {
        guard case .frame(let frame) = self else { return nil }
        return String(decoding: frame.readableBytesView.dropFirst(2), as: UTF8.self)
    }
}

@Suite(.timeLimit(.minutes(10))) struct HubTests {
    private func text(_ event: HubMember.Event?) -> String? { event.flatMap(\.text) }

    @Test func `Messages reach all members of their room and no others, in order`() async throws {
        let hub = Hub<String>()
        let (a, b, other) = (hub.enter("x"), hub.enter("x"), hub.enter("y"))
        hub.broadcast(.text("1"), to: "x")
        hub.broadcast(.text("2"), to: "x")
        hub.broadcast(.text("3"), to: "y")
        for member in [a, b] {
            #expect(text(try await member.next()) == "1")
            #expect(text(try await member.next()) == "2")
        }
        #expect(text(try await other.next()) == "3")
        #expect(hub.count(in: "x") == 2)
        a.leave()
        b.leave()
        #expect(hub.count(in: "x") == 0)
        #expect(try await a.next() == nil)
    }

    @Test func `A value is encoded once for all members of a room, and not at all for an empty one`() async throws {
        let hub = Hub<Int>()
        let members = (0..<3).map { _ in hub.enter(1) }
        let value = CountedValue()
        try hub.broadcast(json: value, to: 2)
        #expect(value.encodings == 0)
        try hub.broadcast(json: value, to: 1)
        #expect(value.encodings == 1)
        for member in members { #expect(text(try await member.next()) == "\"x\"") }
    }

    @Test func `A value that cannot be encoded reaches nobody`() async throws {
        let hub = Hub<Int>()
        let member = hub.enter(1)
        #expect(throws: EncodingError.self) { try hub.broadcast(json: [Double.nan], to: 1) }
        try hub.broadcast(json: ["a": 1], to: 1, key: "a")
        #expect(text(try await member.next()) == #"{"a":1}"#)
    }

    @Test func `With latestWins a message replaces the queued one with the same key, at its position`() async throws {
        let hub = Hub<Int>()
        let member = hub.enter(1, capacity: 3)
        hub.broadcast(.text("a1"), to: 1, key: "a")
        hub.broadcast(.text("b1"), to: 1, key: "b")
        hub.broadcast(.text("a2"), to: 1, key: "a")
        #expect(text(try await member.next()) == "a2")
        #expect(text(try await member.next()) == "b1")
        #expect(member.dropped == 1)
    }

    @Test func `A full queue drops the oldest or the newest message, depending on its policy`() async throws {
        let hub = Hub<Int>()
        let (latest, first) = (hub.enter(1, capacity: 2), hub.enter(1, capacity: 2, overflow: .dropNewest))
        for number in 1...3 { hub.broadcast(.text("\(number)"), to: 1) }
        #expect(text(try await latest.next()) == "2")
        #expect(text(try await first.next()) == "1")
        #expect(text(try await first.next()) == "2")
        #expect(latest.dropped == 1 && first.dropped == 1)
    }

    @Test func `With disconnect a member that does not keep up is removed from its room`() async throws {
        let hub = Hub<Int>()
        let member = hub.enter(1, capacity: 2, overflow: .disconnect)
        for number in 1...3 { hub.broadcast(.text("\(number)"), to: 1) }
        let error = await #expect(throws: AppError.self) { try await member.next() }
        #expect(error?.code == .resourceExhausted)
        #expect(hub.count(in: 1) == 0)
    }

    @Test func `A waiting member receives the message, and a cancelled one stops waiting`() async throws {
        let hub = Hub<Int>()
        let member = hub.enter(1)
        async let frame = member.next()
        hub.broadcast(.text("x"), to: 1)
        #expect(text(try await frame) == "x")
        let waiting = Task { try await member.next() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }

    @Test func `No message is lost with several senders and a thousand members`() async throws {
        let hub = Hub<Int>()
        let members = (0..<1000).map { _ in hub.enter(1, capacity: 100) }
        await withTaskGroup(of: Void.self) { group in
            for sender in 0..<4 {
                group.addTask { for number in 0..<25 { hub.broadcast(.text("\(sender)-\(number)"), to: 1) } }
            }
        }
        for member in members {
            var seen: Set<String> = []
            for _ in 0..<100 { seen.insert(text(try await member.next()) ?? "") }
            #expect(seen.count == 100)
        }
    }
}
