/// The state and decisions of a circuit breaker, without a clock or I/O.
package struct CircuitStateMachine: Sendable {
    /// Identifies the generation in which a call was admitted. Outcomes from earlier generations are ignored.
    package struct Ticket: Sendable {
        fileprivate let generation: Int
    }

    package enum Admission: Sendable {
        case admitted(Ticket)
        case rejected(retryAfter: Duration)
    }

    private enum Phase {
        case closed
        case open(until: Duration)
        case halfOpen(isProbing: Bool)
    }

    private struct Bucket {
        var index = -1
        var calls = 0
        var failures = 0
    }

    /// The number of buckets that the window is divided into. The window moves by one bucket at a time.
    private static let bucketCount = 10

    private let policy: CircuitBreaker.Policy
    private var phase = Phase.closed
    /// Incremented with each change of the phase, so that outcomes of calls admitted before it are ignored.
    private var generation = 0
    private var buckets = [Bucket](repeating: Bucket(), count: bucketCount)
    private let start: Duration

    init(policy: CircuitBreaker.Policy, now: Duration) {
        self.policy = policy
        start = now
    }

    var current: CircuitBreaker.State {
        switch phase {
        case .closed: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
    }

    func state(now: Duration) -> CircuitBreaker.State {
        if case .open(let until) = phase, now >= until { return .halfOpen }
        return current
    }

    mutating func admit(now: Duration) -> Admission {
        switch phase {
        case .closed: return .admitted(Ticket(generation: generation))
        case .open(let until):
            guard now >= until else { return .rejected(retryAfter: until - now) }
            enter(.halfOpen(isProbing: true))
            return .admitted(Ticket(generation: generation))
        case .halfOpen(isProbing: false):
            phase = .halfOpen(isProbing: true)
            return .admitted(Ticket(generation: generation))
        case .halfOpen(isProbing: true): return .rejected(retryAfter: .seconds(1))
        }
    }

    mutating func record(_ outcome: CircuitBreaker.Outcome, _ ticket: Ticket, now: Duration) {
        guard ticket.generation == generation else { return }
        switch (phase, outcome) {
        case (.closed, .none), (.open, _): break
        case (.closed, .success), (.closed, .failure):
            count(isFailure: outcome == .failure, now)
            if outcome == .failure, hasReachedFailureRatio(now) { open(now) }
        case (.halfOpen, .none): phase = .halfOpen(isProbing: false)
        case (.halfOpen, .success):
            buckets = [Bucket](repeating: Bucket(), count: Self.bucketCount)
            enter(.closed)
        case (.halfOpen, .failure): open(now)
        }
    }

    private mutating func open(_ now: Duration) { enter(.open(until: now + policy.openDuration)) }

    private mutating func enter(_ next: Phase) {
        phase = next
        generation += 1
    }

    private func index(_ now: Duration) -> Int {
        let width = max(policy.window / Self.bucketCount, .nanoseconds(1))
        return Int((now - start) / width)
    }

    private mutating func count(isFailure: Bool, _ now: Duration) {
        let index = index(now)
        let slot = index % Self.bucketCount
        if buckets[slot].index != index { buckets[slot] = Bucket(index: index) }
        buckets[slot].calls += 1
        if isFailure { buckets[slot].failures += 1 }
    }

    private func hasReachedFailureRatio(_ now: Duration) -> Bool {
        let oldest = index(now) - Self.bucketCount + 1
        var calls = 0
        var failures = 0
        for bucket in buckets where bucket.index >= oldest {
            calls += bucket.calls
            failures += bucket.failures
        }
        return calls >= policy.minimumCalls && Double(failures) >= Double(calls) * policy.failureRatio
    }
}
