import ApusCore

/// Asks whether the process can serve, once for all who want to know in the same interval: each watcher asks all the time, and
/// what is asked may be a database.
actor ReadinessProbe {
    private let interval: Duration
    private let isReady: @Sendable () async -> Bool
    private var last: (isReady: Bool, at: ContinuousClock.Instant)?
    private var current: Task<Bool, Never>?

    /// The longest that an answer is waited for; none is no.
    private static let timeout = Duration.seconds(5)

    init(interval: Duration, isReady: @escaping @Sendable () async -> Bool) {
        self.interval = interval
        self.isReady = isReady
    }

    /// As it was at most an interval ago.
    func ask() async -> Bool {
        if let last, .now - last.at < interval { return last.isReady }
        if let current { return await current.value }
        // Nobody's task: who asked first may go, and the others still wait.
        let task = Task.detached { [isReady] in
            (try? await withDeadline(.after(Self.timeout)) { await isReady() }) ?? false
        }
        current = task
        let isReady = await task.value
        last = (isReady, .now)
        current = nil
        return isReady
    }
}
