public import ServiceContextModule

/// The moment by which an answer is worth nothing any more.
///
/// A deadline rides in `ServiceContext`. It is set by the server's default, a route or a caller, and on the way in it is
/// lowered and never raised. Whatever waits for something outside reads it.
public struct Deadline: Sendable, Comparable {
    /// The moment itself, on the monotonic clock.
    public let instant: ContinuousClock.Instant

    /// A deadline at a moment.
    public init(at instant: ContinuousClock.Instant) { self.instant = instant }

    /// A deadline so long from now.
    public static func after(_ duration: Duration) -> Deadline { Deadline(at: .now + duration) }

    /// What is left; zero or negative once it has passed.
    public var remaining: Duration { ContinuousClock.now.duration(to: instant) }

    /// Whether it has passed.
    public var hasPassed: Bool { ContinuousClock.now >= instant }

    public static func < (left: Deadline, right: Deadline) -> Bool { left.instant < right.instant }

    /// The error of a deadline that has passed.
    public static var exceeded: AppError {
        AppError(.deadlineExceeded, "The request took longer than it may.")
    }
}

extension ServiceContext {
    private enum DeadlineKey: ServiceContextKey {
        typealias Value = Deadline
    }

    /// The deadline of the work at hand, if it has one.
    public internal(set) var deadline: Deadline? {
        get { self[DeadlineKey.self] }
        set { self[DeadlineKey.self] = newValue }
    }

    /// Lowers the deadline. A later one than the present one changes nothing.
    public mutating func lower(deadline: Deadline) {
        guard let current = self.deadline else {
            self.deadline = deadline
            return
        }
        self.deadline = min(current, deadline)
    }
}

/// Runs an operation under a deadline: what waits inside is cancelled when it passes.
///
/// - Throws: What the operation throws, or an ``AppError`` of code ``StatusCode/deadlineExceeded`` if the deadline came
///   first. The operation is awaited either way, so it must heed cancellation.
public func withDeadline<Result: Sendable>(
    _ deadline: Deadline,
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    var context = ServiceContext.current ?? .topLevel
    context.lower(deadline: deadline)
    let effective = context.deadline ?? deadline
    return try await ServiceContext.withValue(context) {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addImmediateTask { try await operation() }
            group.addImmediateTask {
                try await TimerWheel.shared.wait(until: effective.instant)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let result = first else { throw Deadline.exceeded }
            return result
        }
    }
}

/// Runs what outlives the request that began it, such as a WebSocket or a stream of events: the deadline was that of the
/// request's answer.
package func withoutDeadline<Result>(_ operation: () async throws -> Result) async rethrows -> Result {
    var context = ServiceContext.current ?? .topLevel
    context.deadline = nil
    return try await ServiceContext.withValue(context) { try await operation() }
}
