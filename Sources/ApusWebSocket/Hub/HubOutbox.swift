import ApusCore
import ApusData
import NIOCore
import Synchronization

/// The messages of a hub that wait to be sent to other processes, in order. Broadcasts do not wait for them.
///
/// What could not be sent is dropped. The other processes are told that there is a gap as soon as they can be reached.
final class HubOutbox<Room: Hashable & Codable & Sendable>: Sendable {
    private struct State {
        var waiting: CircularBuffer<HubEnvelope<Room>> = []
        /// How many times messages were dropped, and how many of these the other processes know of.
        var (drops, toldDrops) = (0, 0)
        var isSending = false
        var failures = 0
    }

    private let pubSub: any PubSub
    private let channel: String
    private let sender: String
    private let log: HubOutageLog
    private let state = Mutex(State())

    private static var capacity: Int { 1024 }
    /// How long the server between the processes may take for a message.
    private static var patience: Duration { .seconds(2) }
    private static var backoff: RetryPolicy { RetryPolicy(maximumAttempts: .max) }

    init(_ pubSub: any PubSub, channel: String, sender: String, _ log: HubOutageLog) {
        self.pubSub = pubSub
        self.channel = channel
        self.sender = sender
        self.log = log
    }

    /// How many times messages were dropped, of which the other processes do not know yet.
    var untoldDrops: Int { state.withLock { $0.drops - $0.toldDrops } }

    /// Adds a message, which replaces one to the same rooms with the same key.
    func add(_ envelope: HubEnvelope<Room>) {
        let starts = state.withLock { state in
            if let key = envelope.header.key,
                let index = state.waiting.lastIndex(where: {
                    $0.header.key == key && $0.header.rooms == envelope.header.rooms
                })
            {
                state.waiting[index] = envelope
                return false
            }
            if state.waiting.count >= Self.capacity {
                state.waiting.removeFirst()
                state.drops += 1
            }
            state.waiting.append(envelope)
            defer { state.isSending = true }
            return !state.isSending
        }
        guard starts else { return }
        // Detached: it must belong neither to the transaction nor to the deadline of the task that broadcasts. It does not
        // keep this object longer than a message takes.
        Task.detached { [weak self] in
            while let delay = await self?.sendNext() { if delay > .zero { try? await Task.sleep(for: delay) } }
        }
    }

    /// Sends the next message, or the gap before it.
    /// - Returns: How long to wait before the next one; `nil` if there is none.
    private func sendNext() async -> Duration? {
        let (next, drops) = state.withLock { state -> (HubEnvelope<Room>?, Int) in
            if state.drops > state.toldDrops {
                return (HubEnvelope(.init(sender: sender, kind: .gap, rooms: [], key: nil)), state.drops)
            }
            let next = state.waiting.popFirst()
            state.isSending = next != nil
            return (next, state.drops)
        }
        guard let next else { return nil }
        do {
            let bytes = try next.encoded()
            try await withDeadline(.after(Self.patience)) { [pubSub, channel] in
                try await pubSub.publish(bytes, to: channel)
            }
            state.withLock { state in
                if next.header.kind == .gap { state.toldDrops = drops }
                state.failures = 0
            }
            log.recovered()
            return .zero
        } catch {
            return failed(next, error)
        }
    }

    private func failed(_ envelope: HubEnvelope<Room>, _ error: any Error) -> Duration {
        // A message that is refused, because it is too long, says nothing about the next one.
        let isRefused = AppError(wrapping: error).code == .invalidArgument && envelope.header.kind != .gap
        let failures = state.withLock { state in
            state.drops += 1
            guard !isRefused else { return 0 }
            // The gap stands for them.
            state.waiting.removeAll(keepingCapacity: true)
            state.failures += 1
            return state.failures
        }
        log.failed(error)
        return failures == 0 ? .zero : Self.backoff.delay(after: failures) + .milliseconds(10)
    }
}
