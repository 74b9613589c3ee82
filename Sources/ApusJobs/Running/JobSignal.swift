import ApusCore
import ApusData
import Synchronization

/// Notifies the runners of this process and of others that jobs may be available, so that they do not wait for their
/// next poll.
package final class JobSignal: Sendable {
    private struct State {
        var listeners: [String: [Wakeup]] = [:]
        /// The queues whose last notification of other processes was sent a short time ago, and whether another is due.
        var recent: [String: Bool] = [:]
    }

    /// The channel on which processes tell each other the names of queues.
    static let channel = "apus_jobs"
    /// What is sent when the leader has stopped. No queue has this name.
    private static let leader = ""
    /// The key of the observers of outcomes, which is not sent. No queue has this name, either.
    private static let outcomes = "\0"
    /// What is sent when a job was cancelled. No queue has this name.
    private static let cancellations = "\0cancelled"
    /// How often other processes are notified of a queue at most.
    private static let interval = Duration.milliseconds(5)

    let pubSub: (any PubSub)?
    private let state = Mutex(State())

    init(_ pubSub: (any PubSub)?) { self.pubSub = pubSub }

    /// Registers a runner of a queue.
    func listen(to queue: String) -> Wakeup {
        let wakeup = Wakeup()
        state.withLock { $0.listeners[queue, default: []].append(wakeup) }
        return wakeup
    }

    /// Notifies all processes.
    package func enqueued(in queue: String) {
        notifyHere(queue)
        guard let pubSub else { return }
        let isFirst = state.withLock { state in
            defer { state.recent[queue] = state.recent[queue] != nil }
            return state.recent[queue] == nil
        }
        guard isFirst else { return }
        Task.detached { [self] in
            var isDue = true
            while isDue {
                // Without it, others find the jobs by their polls.
                try? await pubSub.publish(Array(queue.utf8), to: Self.channel)
                try? await Task.sleep(for: Self.interval)
                isDue = state.withLock { state in
                    let isDue = state.recent[queue] ?? false
                    state.recent[queue] = isDue ? false : nil
                    return isDue
                }
            }
        }
    }

    /// Registers a process that can become the leader.
    func listenToLeader() -> Wakeup { listen(to: Self.leader) }

    /// Registers an observer of the states of jobs that the runners of this process change.
    package func listenToOutcomes() -> Wakeup { listen(to: Self.outcomes) }

    /// Notifies the observers of this process that states of jobs have changed.
    func outcomesStored() { notifyHere(Self.outcomes) }

    /// Registers a process that cancels attempts.
    func listenToCancellations() -> Wakeup { listen(to: Self.cancellations) }

    /// Notifies all processes that a job was cancelled.
    func cancelled() { enqueued(in: Self.cancellations) }

    /// Notifies all processes that the leader has stopped.
    func leaderLeft() async {
        notifyHere(Self.leader)
        try? await pubSub?.publish(Array(Self.leader.utf8), to: Self.channel)
    }

    /// Notifies the runners of this process.
    func notifyHere(_ queue: String) { for wakeup in state.withLock({ $0.listeners[queue] ?? [] }) { wakeup.notify() } }

    /// Notifies all runners of this process.
    func notifyAllHere() {
        for wakeup in state.withLock({ $0.listeners.values.flatMap { $0 } }) { wakeup.notify() }
    }

    /// Passes on what other processes send, until the task is cancelled.
    func receive() async {
        guard let pubSub else { return }
        try? await pubSub.listen(to: Self.channel) { event in
            switch event {
            case .message(let bytes): notifyHere(String(decoding: bytes, as: UTF8.self))
            case .gap: notifyAllHere()
            }
        }
    }
}
