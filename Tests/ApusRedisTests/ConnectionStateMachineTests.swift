import ApusCore
import NIOCore
import Testing

@testable import ApusRedis

/// The decisions of a connection: the handshake, the order of replies, refusals and violations. Waiters are names.
@Suite struct ConnectionStateMachineTests {
    private typealias Machine = ConnectionStateMachine<String>

    private let ok = RedisValue("OK")
    private let unknown = RedisValue.error(RedisError(code: "ERR", message: "unknown command `HELLO`, with args: `3`"))

    /// Describes an action, so that expectations are short.
    private func text(_ action: Machine.Action) -> String {
        switch action {
        case .none: "none"
        case .send(let command): "send \(words(command))"
        case .ready: "ready"
        case .resume(let waiter, let value, let next): "\(waiter): \(text(value))\(next == .nothing ? "" : ", \(next)")"
        case .discard(let next): "discard\(next == .nothing ? "" : ", \(next)")"
        case .push(let message): "push \(text(message))"
        case .confirmed(let message, let waiter, let next):
            "\(text(message)), \(waiter ?? "nobody")\(next == .nothing ? "" : ", \(next)")"
        case .fail(let failure): "fail: \(failure)"
        }
    }

    private func text(_ message: PushMessage) -> String {
        switch message {
        case .message(let kind, _, let channel, let content):
            "\(kind) \(String(buffer: channel)) \(String(buffer: content))"
        case .subscribed(let kind, let channel): "+\(kind) \(String(buffer: channel))"
        case .unsubscribed(let kind, let channel): "-\(kind) \(String(buffer: channel))"
        }
    }

    private func text(_ value: RedisValue) -> String {
        switch value {
        case .bytes(let bytes): String(buffer: bytes)
        case .integer(let integer): "\(integer)"
        case .null: "null"
        case .error(let error): "\(error)"
        case .array(let values): "[\(values.map(text).joined(separator: " "))]"
        default: value.kind
        }
    }

    private func words(_ command: RedisCommand) -> String {
        var output = ByteBuffer()
        command.write(to: &output)
        var reader = RESPReader()
        reader.append(output)
        guard case .array(let words)? = try? reader.next() else { return "?" }
        return words.map(text).joined(separator: " ")
    }

    private func ready(isSubscriber: Bool = false, resp2: Bool = false, maximumSlots: Int = 100) -> Machine {
        var machine = Machine(isSubscriber: isSubscriber, maximumSlots: maximumSlots, now: .uptimeNanoseconds(0))
        _ = machine.connected(Handshake.Requirements())
        _ = machine.received(resp2 ? unknown : .map([]))
        return machine
    }

    private func add(
        _ machine: inout Machine, _ waiter: String, _ answer: Machine.Answer = .reply,
        deadline: NIODeadline? = nil
    ) {
        #expect(machine.add(waiter, answer, deadline: deadline) == .admitted)
    }

    // MARK: Handshake

    @Test func `The handshake is HELLO 3 with all that it can carry, then SELECT and ROLE`() {
        var machine = Machine(isSubscriber: false, maximumSlots: 9, now: .uptimeNanoseconds(0))
        let requirements = Handshake.Requirements(
            user: "ada", password: Secret("s3cret"), clientName: "orders", database: 2, requiresPrimary: true)
        #expect(text(machine.connected(requirements)) == "send HELLO 3 AUTH ada s3cret SETNAME orders")
        #expect(machine.add("a", .reply, deadline: nil) == .closed)
        #expect(text(machine.received(.map([]))) == "send SELECT 2")
        #expect(text(machine.received(ok)) == "send ROLE")
        #expect(text(machine.received(.array([RedisValue("master"), .integer(0), .array([])]))) == "ready")
        #expect(machine.usesRESP3)
    }

    @Test func `A server that does not know HELLO is asked over RESP2`() {
        var machine = Machine(isSubscriber: false, maximumSlots: 9, now: .uptimeNanoseconds(0))
        let requirements = Handshake.Requirements(password: Secret("s3cret"), clientName: "orders", database: 2)
        #expect(text(machine.connected(requirements)) == "send HELLO 3 AUTH default s3cret SETNAME orders")
        #expect(text(machine.received(unknown)) == "send AUTH s3cret")
        #expect(text(machine.received(ok)) == "send CLIENT SETNAME orders")
        // Servers before 2.6.9 do not know it; the name is not essential.
        #expect(text(machine.received(.error(RedisError(code: "ERR", message: "unknown")))) == "send SELECT 2")
        #expect(text(machine.received(ok)) == "ready")
        #expect(!machine.usesRESP3)
    }

    @Test(arguments: [
        "WRONGPASS invalid username-password pair", "NOAUTH HELLO must be called", "LOADING Redis is loading",
        "ERR Protocol error", "NOPERM no permissions", "MASTERDOWN Link with MASTER is down",
    ]) func `Any other answer to HELLO ends the connection instead of asking again`(reply: String) {
        var machine = Machine(isSubscriber: false, maximumSlots: 9, now: .uptimeNanoseconds(0))
        _ = machine.connected(Handshake.Requirements())
        #expect(text(machine.received(.error(RedisError(reply: reply)))).hasPrefix("fail: the server refused"))
    }

    @Test func `A refused step and a replica end the connection`() {
        var machine = Machine(isSubscriber: false, maximumSlots: 9, now: .uptimeNanoseconds(0))
        _ = machine.connected(Handshake.Requirements(requiresPrimary: true))
        #expect(text(machine.received(.map([]))) == "send ROLE")
        #expect(text(machine.received(.array([RedisValue("slave")]))) == "fail: the server is not the primary")
        machine = Machine(isSubscriber: false, maximumSlots: 9, now: .uptimeNanoseconds(0))
        _ = machine.connected(Handshake.Requirements(database: 99))
        _ = machine.received(.map([]))
        let error = RedisValue.error(RedisError(reply: "ERR DB index is out of range"))
        #expect(text(machine.received(error)).hasPrefix("fail: the server refused"))
    }

    @Test(arguments: ["NOPERM no permission for 'role'", "ERR unknown command 'ROLE'"])
    func `A user who may not ask for the role relies on the sentinels`(reply: String) {
        var machine = Machine(isSubscriber: false, maximumSlots: 9, now: .uptimeNanoseconds(0))
        _ = machine.connected(Handshake.Requirements(requiresPrimary: true))
        _ = machine.received(.map([]))
        #expect(text(machine.received(.error(RedisError(reply: reply)))) == "ready")
    }

    @Test func `Delays grow until a connection has lived for a while`() {
        var delay = ReconnectDelay(RetryPolicy())
        delay.failed()
        // A server that closes each connection at once is like one that cannot be reached.
        delay.ended(readyAt: .uptimeNanoseconds(0), now: .uptimeNanoseconds(999_000_000))
        delay.ended(readyAt: nil)
        #expect(delay.failures == 3)
        delay.ended(readyAt: .uptimeNanoseconds(0), now: .uptimeNanoseconds(1_000_000_000))
        #expect(delay.failures == 1)
    }

    // MARK: Replies

    @Test func `Replies go to the commands in their order`() {
        var machine = ready()
        for waiter in ["a", "b", "c"] { add(&machine, waiter) }
        for (index, waiter) in ["a", "b", "c"].enumerated() {
            #expect(text(machine.received(.integer(Int64(index)))) == "\(waiter): \(index)")
        }
        #expect(machine.pending == 0)
    }

    @Test func `A cancelled command keeps its slot, and its reply is discarded`() {
        var machine = ready()
        for waiter in ["a", "b", "c"] { add(&machine, waiter) }
        #expect(machine.cancel(where: { $0 == "b" }) == "b")
        #expect(machine.cancel(where: { $0 == "b" }) == nil)
        #expect(text(machine.received(.integer(1))) == "a: 1")
        #expect(text(machine.received(.integer(2))) == "discard")
        #expect(text(machine.received(.integer(3))) == "c: 3")
    }

    @Test func `A deadline never shifts the replies`() {
        var machine = ready()
        let now = NIODeadline.uptimeNanoseconds(5)
        add(&machine, "a", deadline: now)
        add(&machine, "b")
        add(&machine, "c", deadline: now + .seconds(2))
        add(&machine, "d", deadline: now + .seconds(1))
        let (expired, next) = machine.expire(now: now)
        #expect(expired == ["a"] && next == now + .seconds(1))
        #expect(machine.expire(now: now + .seconds(1)).expired == ["d"])
        #expect(text(machine.received(.integer(1))) == "discard")
        #expect(text(machine.received(.integer(2))) == "b: 2")
        #expect(text(machine.received(.integer(3))) == "c: 3")
        #expect(text(machine.received(.integer(4))) == "discard")
    }

    @Test func `A group takes all its replies`() {
        var machine = ready()
        add(&machine, "g", .group(3))
        add(&machine, "a")
        #expect(text(machine.received(ok)) == "none")
        #expect(text(machine.received(RedisValue("QUEUED"))) == "none")
        #expect(text(machine.received(.array([.integer(1)]))) == "g: [OK QUEUED [1]]")
        #expect(text(machine.received(.integer(2))) == "a: 2")
    }

    @Test func `Every interleaving of commands, cancellations and replies pairs them correctly`() {
        var generator = SeededGenerator(state: 1113)
        for _ in 0..<100 {
            var machine = ready()
            var written: [(number: Int64, isCancelled: Bool)] = []
            var next: Int64 = 0
            for _ in 0..<200 {
                switch Int.random(in: 0..<3, using: &generator) {
                case 0 where written.count < 100:
                    next += 1
                    #expect(machine.add("\(next)", .reply, deadline: nil) == .admitted)
                    written.append((next, false))
                case 1:
                    guard let index = written.indices.randomElement(using: &generator) else { continue }
                    let waiter = "\(written[index].number)"
                    let cancelled = machine.cancel { $0 == waiter }
                    #expect(cancelled == (written[index].isCancelled ? nil : waiter))
                    written[index].isCancelled = true
                default:
                    guard !written.isEmpty else { continue }
                    let first = written.removeFirst()
                    let expected = first.isCancelled ? "discard" : "\(first.number): \(first.number)"
                    #expect(text(machine.received(.integer(first.number))) == expected)
                }
            }
            #expect(machine.close() == written.filter { !$0.isCancelled }.map { "\($0.number)" })
        }
    }

    @Test func `A reply without a command is a violation`() {
        var machine = ready()
        #expect(text(machine.received(ok)).hasPrefix("fail: the server violated"))
    }

    @Test func `The number of commands without a reply is bounded`() {
        var machine = ready(maximumSlots: 2)
        add(&machine, "a")
        add(&machine, "b")
        #expect(machine.add("c", .reply, deadline: nil) == .full)
        // A cancelled command still counts: its slot is what is bounded.
        _ = machine.cancel { $0 == "a" }
        #expect(machine.add("c", .reply, deadline: nil) == .full)
        _ = machine.received(ok)
        #expect(machine.add("c", .reply, deadline: nil) == .admitted)
    }

    // MARK: Refusals

    @Test(arguments: ["READONLY You can't write", "LOADING Redis is loading", "MASTERDOWN Link with MASTER is down"])
    func `A refusing server is replaced after its last reply`(reply: String) {
        var machine = ready()
        add(&machine, "a")
        add(&machine, "b")
        #expect(text(machine.received(.error(RedisError(reply: reply)))) == "a: \(reply), replace")
        #expect(machine.add("c", .reply, deadline: nil) == .closed)
        #expect(text(machine.received(ok)) == "b: OK, close")
        machine = ready()
        add(&machine, "a")
        #expect(text(machine.received(.error(RedisError(reply: reply)))) == "a: \(reply), replaceAndClose")
    }

    @Test func `A refusal inside a transaction replaces the server as well`() {
        var machine = ready()
        add(&machine, "g", .group(3))
        _ = machine.received(ok)
        _ = machine.received(.error(RedisError(reply: "READONLY no")))
        let reply = RedisValue.error(RedisError(reply: "EXECABORT aborted"))
        #expect(text(machine.received(reply)) == "g: [OK READONLY no EXECABORT aborted], replaceAndClose")
    }

    @Test func `Requests of errors are typed`() {
        func request(_ text: String) -> RedisError.Request? { RedisError(reply: text).request }
        #expect(request("MOVED 3999 127.0.0.1:6381") == .moved(.init(slot: 3999, host: "127.0.0.1", port: 6381)))
        #expect(request("ASK 1 ::1:6381") == .ask(.init(slot: 1, host: "::1", port: 6381)))
        #expect(request("MOVED 3999 :6381") == .moved(.init(slot: 3999, host: "", port: 6381)))
        for text in [
            "MOVED", "MOVED 1", "MOVED 16384 a:1", "MOVED x a:1", "MOVED 1 a:0", "MOVED 1 a:65536", "MOVED 1 a",
        ] {
            #expect(request(text) == nil, "\(text)")
        }
        #expect(request("NOSCRIPT No matching script") == .sendScript)
        #expect(request("READONLY") == .reconnect)
        // As Redis 6 reports it.
        let script = "ERR Error running script (call to f_71fe): @user_script:1: @user_script: 1: "
        #expect(request(script + "-READONLY You can't write against a read only replica.") == .reconnect)
        #expect(request(script + "-WRONGTYPE no") == nil)
        #expect(request("WRONGTYPE no") == nil)
    }

    // MARK: Subscriptions

    private func push(_ words: String...) -> RedisValue {
        .push(words.map { word in Int64(word).map(RedisValue.integer) ?? RedisValue(word) })
    }

    @Test func `Messages come between replies and take no slot`() {
        var machine = ready(isSubscriber: true)
        add(&machine, "s", .confirmations(.channel, isSubscribing: true, 2))
        #expect(text(machine.received(push("subscribe", "a", "1"))) == "push +channel a")
        #expect(text(machine.received(push("message", "a", "hello"))) == "push channel a hello")
        #expect(text(machine.received(push("subscribe", "b", "2"))) == "+channel b, s")
        #expect(text(machine.received(push("pmessage", "x*", "xy", "hello"))) == "push pattern xy hello")
        // The server unsubscribes by itself when a slot moves.
        #expect(text(machine.received(push("sunsubscribe", "q", "0"))) == "push -shard q")
        #expect(text(machine.received(push("invalidate", "k", "1"))) == "none")
        #expect(machine.pending == 0)
    }

    @Test func `A refused subscription is the error of its command`() {
        var machine = ready(isSubscriber: true)
        add(&machine, "s", .confirmations(.shard, isSubscribing: true, 1))
        #expect(text(machine.received(.error(RedisError(reply: "MOVED 1 a:1")))) == "s: MOVED 1 a:1")
        add(&machine, "s", .confirmations(.shard, isSubscribing: true, 1))
        #expect(text(machine.received(ok)).hasPrefix("fail:"))
    }

    @Test func `RESP2 sends messages and PONG as arrays`() {
        var machine = ready(isSubscriber: true, resp2: true)
        add(&machine, "s", .confirmations(.channel, isSubscribing: true, 1))
        #expect(
            text(machine.received(.array([RedisValue("subscribe"), RedisValue("a"), .integer(1)])))
                == "+channel a, s")
        #expect(
            text(machine.received(.array([RedisValue("message"), RedisValue("a"), RedisValue("m")])))
                == "push channel a m")
        add(&machine, "p", .pong)
        #expect(text(machine.received(.array([RedisValue("pong"), RedisValue("")]))) == "p: PONG")
        #expect(text(machine.received(.array([RedisValue("what")]))).hasPrefix("fail:"))
    }

    // MARK: Time

    @Test func `An idle connection is pinged, and only PONG answers`() {
        var machine = ready()
        let (interval, timeout) = (TimeAmount.seconds(15), TimeAmount.seconds(30))
        func tick(_ seconds: UInt64) -> Machine.TickAction {
            machine.tick(
                now: .uptimeNanoseconds(seconds * 1_000_000_000), keepAlive: interval, responseTimeout: timeout)
        }
        #expect(tick(14) == .none)
        #expect(tick(15) == .ping)
        #expect(tick(30) == .none)
        #expect(tick(45) == .stalled)
        #expect(text(machine.received(ok)).hasPrefix("fail: the server violated"))
        machine = ready()
        _ = machine.tick(now: .uptimeNanoseconds(15_000_000_000), keepAlive: interval, responseTimeout: timeout)
        #expect(text(machine.received(RedisValue("PONG"))) == "discard")
    }

    @Test func `A pause before a command is not counted as the server's`() {
        var machine = ready()
        machine.writing(now: .uptimeNanoseconds(100_000_000_000))
        add(&machine, "a")
        let action = machine.tick(
            now: .uptimeNanoseconds(129_000_000_000), keepAlive: .seconds(15), responseTimeout: .seconds(30))
        #expect(action == .none)
        // A connection on which commands block has no such timeout.
        let blocking = machine.tick(
            now: .uptimeNanoseconds(900_000_000_000), keepAlive: .seconds(15), responseTimeout: nil)
        #expect(blocking == .none)
    }

    // MARK: Closing

    @Test func `A closed connection tells everyone who waits, once, and accepts nothing`() {
        var machine = ready()
        for waiter in ["a", "b", "c"] { add(&machine, waiter) }
        _ = machine.cancel { $0 == "b" }
        #expect(machine.close() == ["a", "c"])
        let again = machine.close()
        #expect(again.isEmpty)
        #expect(text(machine.received(ok)) == "none")
        #expect(machine.add("d", .reply, deadline: nil) == .closed)
    }

    @Test func `A draining connection closes after its last reply`() {
        var machine = ready()
        add(&machine, "a")
        let isDrained = machine.drain()
        #expect(!isDrained)
        #expect(text(machine.received(ok)) == "a: OK, close")
        machine = ready()
        let isDrainedAtOnce = machine.drain()
        #expect(isDrainedAtOnce)
    }
}
