import ApusCore
public import ApusRateLimit
import NIOCore
import ServiceContextModule
import Synchronization

/// A rate limiter whose quotas all processes with the same Redis share. A decision is one round trip.
///
/// If Redis cannot be reached or does not answer in time, each process counts by itself, from full quotas: then every
/// process allows as many requests as all of them together otherwise. That is logged once, and again with a count when
/// Redis is back. A Redis that does not answer delays the requests that have asked it by the timeout, and after that one
/// request a second; the others are decided at once.
public final class RedisRateLimiter: RateLimiter {
    private let client: RedisClient
    private let prefix: String
    private let timeout: Duration
    private let local: any RateLimiter
    private let faults: OutageLog
    /// The instant from which Redis is asked again, after it has not answered.
    private let pausedUntil = Mutex<ContinuousClock.Instant?>(nil)

    /// How long Redis is not asked after it has not answered in time.
    private static let pause = Duration.seconds(1)

    /// Creates a limiter.
    /// - Parameters:
    ///   - client: The client, which must not be closed before the limiter is used for the last time.
    ///   - prefix: Precedes the names of all keys in Redis. `limit:` by default.
    ///   - timeout: The maximum time to wait for Redis. 100 milliseconds by default.
    ///   - local: Decides while Redis is away. By default, a limiter in the memory of this process.
    public init(
        _ client: RedisClient, prefix: String = "limit:", timeout: Duration = .milliseconds(100),
        local: any RateLimiter = MemoryRateLimiter()
    ) {
        self.client = client
        self.prefix = prefix
        self.timeout = timeout
        self.local = local
        faults = OutageLog(client.core.logger)
    }

    /// - Throws: `CancellationError`, or the error of the task's deadline. Never an error of Redis.
    public func take(_ key: String, limit: RateLimitPolicy) async throws -> RateLimitDecision {
        guard mayAsk() else {
            faults.rejectedCommand(name)
            return try await local.take(key, limit: limit)
        }
        let callers = ServiceContext.current?.deadline
        let own = NIODeadline.now() + TimeAmount(timeout)
        do {
            let reply = try await client.run(
                RateLimitScript.script, keys: [prefix + key], arguments: RateLimitScript.arguments(limit),
                deadline: min(callers?.onEventLoop ?? own, own))
            let decision = try RateLimitScript.decision(reply)
            answered()
            return decision
        } catch {
            try Task.checkCancellation()
            if let callers, callers.hasPassed { throw Deadline.exceeded }
            failed(error)
            return try await local.take(key, limit: limit)
        }
    }

    private var name: String { "rate limits (\(prefix)*)" }

    /// Whether Redis is to be asked. After a pause, one request is the first to ask again.
    private func mayAsk() -> Bool {
        pausedUntil.withLock { pausedUntil in
            guard let instant = pausedUntil else { return true }
            guard ContinuousClock.now >= instant else { return false }
            pausedUntil = .now + Self.pause
            return true
        }
    }

    private func answered() {
        pausedUntil.withLock { $0 = nil }
        faults.recovered(name)
    }

    private func failed(_ error: any Error) {
        if (error as? AppError)?.code == .deadlineExceeded { pausedUntil.withLock { $0 = .now + Self.pause } }
        faults.failed(name, error)
        faults.rejectedCommand(name)
    }
}

extension RedisClient {
    /// Runs a script with a deadline other than the task's.
    func run(
        _ script: RedisScript, keys: [String], arguments: [any RedisEncodable], deadline: NIODeadline?
    ) async throws -> RedisValue {
        do {
            return try await send(script.evaluateByDigest(keys, arguments), deadline: deadline)
        } catch let error as RedisError where error.request == .sendScript {
            return try await send(script.command(keys: keys, arguments: arguments), deadline: deadline)
        }
    }
}
