import ApusCore

/// Checks readiness at most once per interval on behalf of all watchers, because each watcher polls and a check may involve a
/// database.
actor ReadinessProbe {
    private let interval: Duration
    private let timeout: Duration
    private let isReady: @Sendable () async -> Bool
    private var last: (isReady: Bool, at: ContinuousClock.Instant)?
    private var current: Task<Bool, Never>?

    /// - Parameters:
    ///   - interval: The maximum age of a result.
    ///   - timeout: The timeout of a check. A check that exceeds it counts as not ready.
    ///   - isReady: The check.
    init(interval: Duration, timeout: Duration, isReady: @escaping @Sendable () async -> Bool) {
        self.interval = interval
        self.timeout = timeout
        self.isReady = isReady
    }

    /// Returns a result that is at most one interval old.
    func check() async -> Bool {
        if let last, .now - last.at < interval { return last.isReady }
        if let current { return await current.value }
        // Detached, so that cancellation of the first caller does not affect the others.
        let task = Task.detached { await self.checkNow() }
        current = task
        let isReady = await task.value
        last = (isReady, .now)
        current = nil
        return isReady
    }

    /// Returns a new result.
    nonisolated func checkNow() async -> Bool {
        (try? await withDeadline(.after(timeout)) { [isReady] in await isReady() }) ?? false
    }
}
