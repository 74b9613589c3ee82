import ApusCore
import ApusData
import ApusTesting
import Logging
import NIOCore
import Synchronization
import Testing

@testable import ApusWebSocket

/// A `PubSub` whose server can be away.
private final class FaultyPubSub: PubSub {
    private let pubSub = MemoryPubSub()
    private let isAway = Mutex(false)

    func set(away: Bool) { isAway.withLock { $0 = away } }

    private func check() throws {
        if isAway.withLock({ $0 }) { throw AppError(.unavailable, "away") }
    }

    func publish(_ message: [UInt8], to channel: String) async throws {
        try check()
        guard message.count < 1000 else { throw AppError(.invalidArgument, "too long") }
        try await pubSub.publish(message, to: channel)
    }

    func subscribe(to channel: String, capacity: Int) async throws -> PubSubSubscription {
        try check()
        return try await pubSub.subscribe(to: channel, capacity: capacity)
    }
}

@Suite(.timeLimit(.minutes(10))) struct SharedHubTests {
    private enum Room: Hashable, Codable, Sendable {
        case order(Int)
        case fleet
    }

    private func hub(_ pubSub: any PubSub, logger: Logger = .silent) -> Hub<Room> {
        Hub("feed", sharedThrough: pubSub, logger: logger)
    }

    @Test func `A broadcast reaches the members of all processes once, in order`() async throws {
        let pubSub = MemoryPubSub()
        let (here, there) = (hub(pubSub), hub(pubSub))
        let near = await here.subscribeAndEnter(.order(1), capacity: 200)
        let far = await there.subscribeAndEnter(.order(1), capacity: 200)
        for number in 0..<100 { here.broadcast(.text("\(number)"), to: .order(1)) }
        here.broadcast(.text("other"), to: .order(2))
        here.broadcast(.text("end"), to: .order(1))
        for member in [near, far] {
            for number in 0..<100 { #expect(try await member.next()?.text == "\(number)") }
            #expect(try await member.next()?.text == "end")
        }
    }

    @Test func `A member gets no echo of what its own process has sent`() async throws {
        let pubSub = MemoryPubSub()
        let (here, there) = (hub(pubSub), hub(pubSub))
        let near = await here.subscribeAndEnter(.fleet)
        let far = await there.subscribeAndEnter(.fleet)
        here.broadcast(.text("a"), to: .fleet)
        #expect(try await far.next()?.text == "a")
        there.broadcast(.text("b"), to: .fleet)
        #expect(try await near.next()?.text == "a")
        #expect(try await near.next()?.text == "b")
        #expect(try await far.next()?.text == "b")
    }

    @Test func `A value for several rooms is one message between processes, and binary messages arrive as such`()
        async throws
    {
        let pubSub = MemoryPubSub()
        let (here, there) = (hub(pubSub), hub(pubSub))
        let messages = try await pubSub.subscribe(to: "hub.feed")
        let order = await there.subscribeAndEnter(.order(1))
        let fleet = await there.subscribeAndEnter(.fleet)
        try here.broadcast(json: ["a": 1], to: [.order(1), .fleet], key: "k")
        here.broadcast(.binary(ByteBuffer(bytes: [0, 10, 255])), to: .fleet)
        #expect(try await order.next()?.text == #"{"a":1}"#)
        #expect(try await fleet.next()?.text == #"{"a":1}"#)
        let frame = WebSocket.encode(.binary(ByteBuffer(bytes: [0, 10, 255])))
        #expect(try await fleet.next() == .frame(frame))
        var iterator = messages.makeAsyncIterator()
        guard case .message(let first) = try await iterator.next() else { throw CancellationError() }
        #expect(String(decoding: first, as: UTF8.self).hasSuffix("\"key\":\"k\"}\n{\"a\":1}"))
        guard case .message = try await iterator.next() else { throw CancellationError() }
    }

    @Test func `A key replaces a queued message of another process`() async throws {
        let pubSub = MemoryPubSub()
        let (here, there) = (hub(pubSub), hub(pubSub))
        let far = await there.subscribeAndEnter(.fleet)
        let marker = await there.subscribeAndEnter(.order(1))
        for number in 0..<50 { here.broadcast(.text("\(number)"), to: .fleet, key: "driver") }
        here.broadcast(.text("end"), to: .order(1))
        #expect(try await marker.next()?.text == "end")
        #expect(try await far.next()?.text == "49")
    }

    @Test func `Members are told of a gap after the server was away, and then get messages again`() async throws {
        let pubSub = FaultyPubSub()
        let (here, there) = (hub(pubSub), hub(pubSub))
        let far = await there.subscribeAndEnter(.fleet)
        here.broadcast(.text("a"), to: .fleet)
        #expect(try await far.next()?.text == "a")
        pubSub.set(away: true)
        here.broadcast(.text("lost"), to: .fleet)
        // The hub itself says when it has tried.
        while here.untoldDrops == 0 { await Task.yield() }
        pubSub.set(away: false)
        // An attempt that fails meanwhile drops what was sent until then.
        while here.untoldDrops != 0 { await Task.yield() }
        here.broadcast(.text("b"), to: .fleet)
        #expect(try await far.next() == .gap)
        #expect(try await far.next()?.text == "b")
    }

    @Test func `Members that joined while the server was away are told when the process has subscribed`() async throws {
        let pubSub = FaultyPubSub()
        let (here, there) = (hub(pubSub), hub(pubSub))
        pubSub.set(away: true)
        let far = await there.subscribeAndEnter(.fleet)
        there.broadcast(.text("near"), to: .fleet)
        #expect(try await far.next()?.text == "near")
        pubSub.set(away: false)
        #expect(try await far.next() == .gap)
        here.broadcast(.text("b"), to: .fleet)
        #expect(try await far.next()?.text == "b")
    }

    @Test func `A message that is too long for the server costs only itself, and is a gap for the others`() async throws
    {
        let pubSub = FaultyPubSub()
        let (here, there) = (hub(pubSub), hub(pubSub))
        let far = await there.subscribeAndEnter(.fleet)
        here.broadcast(.text(String(repeating: "x", count: 1000)), to: .fleet)
        here.broadcast(.text("b"), to: .fleet)
        #expect(try await far.next() == .gap)
        #expect(try await far.next()?.text == "b")
    }

    @Test func `What is no envelope is ignored and logged once`() async throws {
        let pubSub = MemoryPubSub()
        let (here, there) = (hub(pubSub), hub(pubSub))
        let invalid = #"{"sender":"x","kind":"text","rooms":[{"fleet":{}}]}"# + "\n"
        let far = await there.subscribeAndEnter(.fleet)
        for bytes in [[], [10], [255], Array("{}\n".utf8), Array(invalid.utf8) + [0xFF]] {
            try await pubSub.publish(bytes, to: "hub.feed")
        }
        here.broadcast(.text("b"), to: .fleet)
        #expect(try await far.next()?.text == "b")
    }

    @Test func `A gap comes behind the messages that were queued before it, and only once until it is read`()
        async throws
    {
        let member = Hub<Int>().enter(1, capacity: 2)
        func push(_ text: String) { member.push(WebSocket.encode(.text(text)), key: nil) }
        push("1")
        member.pushGap()
        push("2")
        member.pushGap()
        #expect(try await member.next()?.text == "1")
        #expect(try await member.next() == .gap)
        #expect(try await member.next()?.text == "2")
        // The oldest message gives way, never the gap.
        push("3")
        member.pushGap()
        push("4")
        push("5")
        #expect(try await member.next() == .gap)
        #expect(try await member.next()?.text == "4")
        #expect(try await member.next()?.text == "5")
    }

    @Test(arguments: [0, 125, 126, 65_535, 65_536]) func `A member without a socket receives messages of any length`(
        length: Int
    ) async throws {
        let hub = Hub<Int>()
        let member = hub.enter(1)
        let messages: [WebSocketMessage] = [
            .text(String(repeating: "x", count: length)), .binary(ByteBuffer(repeating: 0, count: length)),
        ]
        for message in messages { hub.broadcast(message, to: 1) }
        member.pushGap()
        for message in messages { #expect(try await member.receive() == .message(message)) }
        #expect(try await member.receive() == .gap)
        member.leave()
        #expect(try await member.receive() == nil)
    }

    @Test func `A hub that is released ends its subscription`() async throws {
        let pubSub = MemoryPubSub()
        var hub: Hub<Room>? = hub(pubSub)
        await hub?.join(.fleet) { _ in #expect(pubSub.subscribers(of: "hub.feed") == 1) }
        hub = nil
        while pubSub.subscribers(of: "hub.feed") > 0 { await Task.yield() }
    }
}

extension Logger {
    fileprivate static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
