import Testing

@testable import ApusCore

@Suite(.timeLimit(.minutes(10))) struct TimerWheelTests {
    @Test func `A wait ends at its instant and not before`() async throws {
        let wheel = TimerWheel()
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for milliseconds in [60, 1, 30, 0, -5] {
                group.addTask {
                    let instant = start + .milliseconds(milliseconds)
                    try await wheel.wait(until: instant)
                    #expect(ContinuousClock.now >= instant)
                }
            }
            try await group.waitForAll()
        }
        #expect(wheel.waiterCount == 0)
    }

    @Test func `A cancelled wait is removed at once`() async throws {
        let wheel = TimerWheel()
        let far = ContinuousClock.now + .seconds(3600)
        for _ in 0..<1000 {
            let task = Task.immediate { try await wheel.wait(until: far) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(wheel.waiterCount == 0)
        let early = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await wheel.wait(until: far)
        }
        await #expect(throws: CancellationError.self) { try await early.value }
        #expect(wheel.waiterCount == 0)
    }

    @Test func `No wait is lost when many start and are cancelled concurrently`() async throws {
        let wheel = TimerWheel()
        let woken = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<2000 {
                group.addTask {
                    let task = Task { try await wheel.wait(until: .now + .milliseconds(number % 20)) }
                    if number % 3 == 0 { task.cancel() }
                    return await (try? task.value) == nil ? 0 : 1
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(woken >= 1333)
        #expect(wheel.waiterCount == 0)
    }

    @Test func `A wait for an instant in the far future can be cancelled`() async throws {
        let wheel = TimerWheel()
        let task = Task.immediate { try await wheel.wait(until: .now + .seconds(Int64.max / 2)) }
        #expect(wheel.waiterCount == 1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func `A task that is superseded by one for an earlier instant ends at once`() async throws {
        let wheel = TimerWheel()
        let start = ContinuousClock.now
        let waits = (0..<20).map { number in
            Task.immediate { try await wheel.wait(until: start + .seconds(7200 - number)) }
        }
        // The last task serves this wait, and then those that its predecessors had begun to serve.
        try await wheel.wait(until: start)
        while wheel.taskCount > 1 {
            try Task.checkCancellation()
            await Task.yield()
        }
        #expect(wheel.taskCount == 1)
        #expect(wheel.waiterCount == 20)
        for wait in waits { wait.cancel() }
    }
}
