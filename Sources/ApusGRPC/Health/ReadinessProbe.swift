import ApusCore

/// Checks readiness at most once per interval on behalf of all watchers, because each watcher polls and a check may involve a
/// database.
actor ReadinessProbe {
    private let interval: Duration
    private let isReady: @Sendable () async -> Bool
    private var last: (isReady: Bool, at: ContinuousClock.Instant)?
    private var current: Task<Bool, Never>?

    /// The timeout of a check. A check that exceeds it counts as not ready.
    private static let timeout = Duration.seconds(5)

    init(interval: Duration, isReady: @escaping @Sendable () async -> Bool) {
        self.interval = interval
        self.isReady = isReady
    }

    /// Returns a result that is at most one interval old.
    func check() async -> Bool {
        if let last, .now - last.at < interval { return last.isReady }
        if let current { return await current.value }
        // Detached, so that cancellation of the first caller does not affect the others.
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
