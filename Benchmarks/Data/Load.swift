import Glibc
import NIOCore
import NIOPosix

/// What a number of operations took.
struct Measurement {
    let operations: Int
    let duration: Duration
    /// The CPU time of this process.
    let processorTime: Duration

    /// The operations per second.
    var rate: Double { Double(operations) / (duration / .seconds(1)) }
    /// The CPU time of an operation, in microseconds.
    var microseconds: Double { processorTime / .microseconds(1) / Double(operations) }
}

/// Tasks on one event loop that repeat an operation, like the handlers of a server with one thread.
struct Load {
    let tasks: Int
    let duration: Duration

    private static let warmUp = Duration.milliseconds(500)

    /// Runs the operation, first to warm up, and measures it.
    /// - Parameters:
    ///   - close: Closes the client that the operation uses.
    ///   - operation: Gets the random numbers of its task.
    func measure(
        closing close: @Sendable () async -> Void,
        _ operation: @escaping @Sendable (inout RandomNumbers) async throws -> Void
    ) async throws -> Measurement {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let executor = LoopExecutor(group.next())
        _ = try await Self.repeated(operation, for: Self.warmUp, tasks: tasks, on: executor)
        let (start, processorStart) = (ContinuousClock.now, Self.processorTime())
        let operations = try await Self.repeated(operation, for: duration, tasks: tasks, on: executor)
        let measurement = Measurement(
            operations: operations, duration: start.duration(to: .now),
            processorTime: Self.processorTime() - processorStart)
        await close()
        try await group.shutdownGracefully()
        return measurement
    }

    /// Repeats the operation until the duration has passed.
    /// - Returns: How often it ran.
    private static func repeated(
        _ operation: @escaping @Sendable (inout RandomNumbers) async throws -> Void, for duration: Duration,
        tasks: Int, on executor: LoopExecutor
    ) async throws -> Int {
        let end = ContinuousClock.now + duration
        return try await withThrowingTaskGroup(of: Int.self) { group in
            for task in 1...tasks {
                group.addTask(executorPreference: executor) {
                    var numbers = RandomNumbers(seed: UInt64(task))
                    var count = 0
                    while ContinuousClock.now < end {
                        try await operation(&numbers)
                        count += 1
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
    }

    private static func processorTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}

/// Runs tasks on the thread of an event loop.
private final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        loop.execute { job.runSynchronously(on: executor) }
    }
}

/// Random numbers without a system call for each (the generator SplitMix64).
struct RandomNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var number = state
        number = (number ^ (number >> 30)) &* 0xBF58_476D_1CE4_E5B9
        number = (number ^ (number >> 27)) &* 0x94D0_49BB_1331_11EB
        return number ^ (number >> 31)
    }
}
