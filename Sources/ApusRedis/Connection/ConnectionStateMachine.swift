import NIOCore

/// The state and decisions of a connection, without I/O.
///
/// Replies come in the order of the commands, so each command has a slot in a queue. A slot is never removed before its
/// reply: a command whose task no longer waits keeps its slot, and its reply is discarded. Otherwise every later reply
/// would go to the wrong command.
struct ConnectionStateMachine<Waiter> {
    /// What answers a command.
    enum Answer {
        /// One reply.
        case reply
        /// As many replies, for commands that were written as one group.
        case group(Int)
        /// A message for each channel (RESP3 has no replies to subscriptions).
        case confirmations(PushMessage.Kind, isSubscribing: Bool, Int)
        /// The reply to PING, which must be PONG.
        case pong
    }

    struct Slot {
        var waiter: Waiter?
        let deadline: NIODeadline?
        var answer: Answer
    }

    private enum Phase {
        case connecting
        // Indirect, so that it does not make the phase larger, which each reply looks at.
        indirect case handshake(Handshake)
        case ready
        /// Accepts no commands, and closes after the last reply.
        case draining
        case closed
    }

    enum Action {
        case none
        /// Send a command of the handshake.
        case send(RedisCommand)
        /// The handshake is complete.
        case ready
        /// Pass the reply to the waiter.
        case resume(Waiter, RedisValue, then: Next)
        /// Nobody waits for the reply any more.
        case discard(then: Next)
        case push(PushMessage)
        /// Pass on the last confirmation of a change of subscriptions, and then tell the waiter.
        case confirmed(PushMessage, Waiter?, then: Next)
        /// Close the connection, and tell everyone who waits.
        case fail(ConnectionFailure)
    }

    /// What follows a reply.
    enum Next: Equatable {
        case nothing
        /// The server refuses commands because of its role or state. Use another connection; this one is closed after
        /// its last reply.
        case replace
        /// The last reply has arrived.
        case close
        /// Both.
        case replaceAndClose
    }

    enum Admission: Equatable {
        case admitted
        /// The connection is not ready or does not accept commands any more.
        case closed
        /// Too many commands wait for their replies.
        case full
    }

    enum TickAction: Equatable {
        case none
        /// Send PING. Its slot has been added.
        case ping
        case stalled
    }

    private var phase = Phase.connecting
    private var slots = CircularBuffer<Slot>()
    /// The replies so far of the group at the head of the queue.
    private var groupReplies: [RedisValue] = []
    private var lastReceived: NIODeadline
    private let isSubscriber: Bool
    private let maximumSlots: Int
    /// Whether the server speaks RESP3. Known after the handshake.
    private(set) var usesRESP3 = false

    /// - Parameters:
    ///   - isSubscriber: Whether the connection is for subscriptions, on which RESP2 sends messages as arrays.
    ///   - maximumSlots: The maximum number of commands that wait for their replies.
    init(isSubscriber: Bool, maximumSlots: Int, now: NIODeadline) {
        self.isSubscriber = isSubscriber
        self.maximumSlots = maximumSlots
        lastReceived = now
        slots.reserveCapacity(16)
    }

    var isReady: Bool { if case .ready = phase { true } else { false } }

    var isClosed: Bool { if case .closed = phase { true } else { false } }

    /// The number of commands whose replies are missing.
    var pending: Int { slots.count }

    // MARK: Opening

    mutating func connected(_ requirements: Handshake.Requirements) -> Action {
        guard case .connecting = phase else { return .none }
        var handshake = Handshake(requirements)
        let command = handshake.start()
        phase = .handshake(handshake)
        return .send(command)
    }

    private mutating func advance(_ handshake: Handshake, _ reply: RedisValue) -> Action {
        var handshake = handshake
        switch handshake.received(reply) {
        case .send(let command):
            phase = .handshake(handshake)
            return .send(command)
        case .done:
            usesRESP3 = handshake.usesRESP3
            phase = .ready
            return .ready
        case .failed(let failure): return .fail(failure)
        }
    }

    // MARK: Commands

    /// Adds the slot of a command that is about to be written.
    mutating func add(
        _ waiter: Waiter, _ answer: Answer, deadline: NIODeadline?
    ) -> Admission {
        guard case .ready = phase else { return .closed }
        guard slots.count < maximumSlots else { return .full }
        slots.append(Slot(waiter: waiter, deadline: deadline, answer: answer))
        return .admitted
    }

    /// Removes the waiter of a command that was cancelled. Its slot stays.
    mutating func cancel(where isMatch: (Waiter) -> Bool) -> Waiter? {
        guard let index = slots.lastIndex(where: { $0.waiter.map(isMatch) ?? false }) else { return nil }
        return slots[index].waiter.take()
    }

    /// Removes the waiters of commands whose deadline has passed. Their slots stay.
    /// - Returns: The waiters, and the next deadline.
    mutating func expire(now: NIODeadline) -> (expired: [Waiter], next: NIODeadline?) {
        var expired: [Waiter] = []
        var next: NIODeadline?
        for index in slots.indices where slots[index].waiter != nil {
            guard let deadline = slots[index].deadline else { continue }
            if deadline <= now {
                if let waiter = slots[index].waiter.take() { expired.append(waiter) }
            } else {
                next = min(next ?? deadline, deadline)
            }
        }
        return (expired, next)
    }

    // MARK: Replies

    /// Notes that bytes have arrived.
    mutating func receivedBytes(now: NIODeadline) { lastReceived = now }

    mutating func received(_ value: consuming RedisValue) -> Action {
        switch phase {
        case .closed: return .none
        case .connecting: return .fail(.violation("a reply came before the first command"))
        case .handshake(let handshake):
            if case .push = value { return .none }
            return advance(handshake, value)
        case .ready, .draining:
            if case .push(let elements) = value { return push(elements) }
            if isSubscriber, !usesRESP3, case .array(let elements) = value {
                // A reply that RESP2 sends as an array is PONG alone.
                if elements.first?.isText("pong") == true { return reply(RedisValue("PONG")) }
                return push(elements)
            }
            return reply(value)
        }
    }

    private mutating func reply(_ value: consuming RedisValue) -> Action {
        guard let head = slots.indices.first else { return .fail(.violation("a reply came without a command")) }
        switch slots[head].answer {
        case .reply: return finish(value, isRefusal: Self.isRefusal(value))
        case .group(let missing):
            groupReplies.append(value)
            guard missing == 1 else {
                slots[head].answer = .group(missing - 1)
                return .none
            }
            let replies = groupReplies
            groupReplies = []
            return finish(.array(replies), isRefusal: replies.contains(where: Self.isRefusal))
        case .confirmations:
            guard case .error = value else {
                return .fail(.violation("a reply came instead of the confirmation of a subscription"))
            }
            return finish(value, isRefusal: false)
        case .pong:
            guard value.isText("PONG") else { return .fail(.violation("PING was not answered by PONG")) }
            return finish(value, isRefusal: false)
        }
    }

    private mutating func push(_ elements: [RedisValue]) -> Action {
        guard let message = PushMessage(elements) else {
            // RESP3 may add kinds; RESP2 has only those of subscriptions.
            return usesRESP3 ? .none : .fail(.violation("an array came on a connection for subscriptions"))
        }
        switch message {
        case .message: return .push(message)
        case .subscribed(let kind, _): return confirm(kind, isSubscribing: true, message)
        case .unsubscribed(let kind, _): return confirm(kind, isSubscribing: false, message)
        }
    }

    /// Counts a confirmation for the command at the head of the queue, if it is one of its own. The server also
    /// unsubscribes by itself, when a hash slot moves.
    private mutating func confirm(_ kind: PushMessage.Kind, isSubscribing: Bool, _ message: PushMessage) -> Action {
        guard let head = slots.indices.first,
            case .confirmations(kind, isSubscribing, let missing) = slots[head].answer
        else { return .push(message) }
        guard missing == 1 else {
            slots[head].answer = .confirmations(kind, isSubscribing: isSubscribing, missing - 1)
            return .push(message)
        }
        let waiter = slots.removeFirst().waiter
        guard case .draining = phase, slots.isEmpty else { return .confirmed(message, waiter, then: .nothing) }
        return .confirmed(message, waiter, then: .close)
    }

    private mutating func finish(_ value: consuming RedisValue, isRefusal: Bool) -> Action {
        let slot = slots.removeFirst()
        var next = Next.nothing
        if case .draining = phase {
            next = slots.isEmpty ? .close : .nothing
        } else if isRefusal {
            phase = .draining
            next = slots.isEmpty ? .replaceAndClose : .replace
        }
        guard let waiter = slot.waiter else { return .discard(then: next) }
        return .resume(waiter, value, then: next)
    }

    /// Whether the server refuses commands until it has another role or state.
    private static func isRefusal(_ value: RedisValue) -> Bool {
        guard case .error(let error) = value else { return false }
        return error.isRefusal
    }

    // MARK: Time

    /// - Parameters:
    ///   - keepAlive: The time without bytes after which a PING is sent.
    ///   - responseTimeout: The time without bytes, while replies are missing, after which the server counts as gone.
    ///     `nil` for connections on which commands block.
    mutating func tick(now: NIODeadline, keepAlive: TimeAmount, responseTimeout: TimeAmount?) -> TickAction {
        switch phase {
        case .connecting, .handshake, .closed: return .none
        case .ready, .draining: break
        }
        if slots.isEmpty {
            guard case .ready = phase, now - lastReceived >= keepAlive else { return .none }
            lastReceived = now
            slots.append(Slot(waiter: nil, deadline: nil, answer: .pong))
            return .ping
        }
        guard let responseTimeout, now - lastReceived >= responseTimeout else { return .none }
        return .stalled
    }

    /// Notes that the first command after a pause is written, so that the pause does not count as the server's.
    mutating func writing(now: NIODeadline) { if slots.isEmpty { lastReceived = now } }

    // MARK: Closing

    /// Stops accepting commands.
    /// - Returns: Whether the connection can be closed at once because no replies are missing.
    mutating func drain() -> Bool {
        switch phase {
        case .connecting, .handshake: return true
        case .ready, .draining:
            phase = .draining
            return slots.isEmpty
        case .closed: return false
        }
    }

    /// Ends the connection. What was written is never sent again, so all waiters fail.
    mutating func close() -> [Waiter] {
        phase = .closed
        let waiters = slots.compactMap(\.waiter)
        slots.removeAll()
        groupReplies = []
        return waiters
    }
}
