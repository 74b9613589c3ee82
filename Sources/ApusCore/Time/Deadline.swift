public import ServiceContextModule

/// The instant after which the result of an operation is no longer useful.
///
/// A deadline is carried in `ServiceContext`. It is set by the server's default, a route or a caller; inner scopes can
/// only lower it. Operations that wait for something external should respect it.
public struct Deadline: Sendable, Comparable {
    /// The instant on the monotonic clock.
    public let instant: ContinuousClock.Instant

    /// Creates a deadline at an instant.
    public init(at instant: ContinuousClock.Instant) { self.instant = instant }

    /// Returns a deadline at a duration from now.
    public static func after(_ duration: Duration) -> Deadline { Deadline(at: .now + duration) }

    /// The remaining time; zero or negative once the deadline has passed.
    public var remaining: Duration { ContinuousClock.now.duration(to: instant) }

    /// Whether the deadline has passed.
    public var hasPassed: Bool { ContinuousClock.now >= instant }

    public static func < (left: Deadline, right: Deadline) -> Bool { left.instant < right.instant }

    /// The error for a deadline that has passed.
    public static var exceeded: AppError {
        AppError(.deadlineExceeded, "The request exceeded its deadline.")
    }
}

extension ServiceContext {
    private enum DeadlineKey: ServiceContextKey {
        typealias Value = Deadline
    }

    /// The deadline of the current task, if any.
    public internal(set) var deadline: Deadline? {
        get { self[DeadlineKey.self] }
        set { self[DeadlineKey.self] = newValue }
    }

    /// Lowers the deadline. Has no effect if the given deadline is later than the current one.
    public mutating func lower(deadline: Deadline) {
        guard let current = self.deadline else {
            self.deadline = deadline
            return
        }
        self.deadline = min(current, deadline)
    }
}

/// Runs an operation with a deadline and cancels it when the deadline passes.
///
/// If the deadline has already passed, the operation is not started.
///
/// - Throws: The error of the operation, or an ``AppError`` with code ``StatusCode/deadlineExceeded`` if the deadline
///   passed first. If the operation then throws one of its own, or one with code ``StatusCode/unknown``, that is thrown:
///   it says what was waited for, or that the operation may have succeeded. An operation that has started is awaited in
///   all cases, so it must respond to cancellation.
public func withDeadline<Result: Sendable>(
    _ deadline: Deadline,
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    var context = ServiceContext.current ?? .topLevel
    context.lower(deadline: deadline)
    let effective = context.deadline ?? deadline
    guard !effective.hasPassed else { throw Deadline.exceeded }
    return try await ServiceContext.withValue(context) {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addImmediateTask { try await operation() }
            group.addImmediateTask {
                try await TimerWheel.shared.wait(until: effective.instant)
                return nil
            }
            defer { group.cancelAll() }
            if let first = try await group.next(), let result = first { return result }
            group.cancelAll()
            do {
                _ = try await group.next()
            } catch let error as AppError where error.code == .deadlineExceeded || error.code == .unknown {
                // Says what the operation was waiting for, or that it may have succeeded.
                throw error
            } catch {}
            throw Deadline.exceeded
        }
    }
}

/// Runs an operation without the current deadline, which applies only to the response. Used for operations that outlive
/// the request that started them, such as WebSockets and event streams.
package func withoutDeadline<Result>(_ operation: () async throws -> Result) async rethrows -> Result {
    var context = ServiceContext.current ?? .topLevel
    context.deadline = nil
    return try await ServiceContext.withValue(context) { try await operation() }
}
