import Testing

@testable import ApusCore

@Suite(.timeLimit(.minutes(1))) struct TimerWheelTests {
    @Test func `Who waits is woken when the moment has come, and not before`() async throws {
        let wheel = TimerWheel()
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for milliseconds in [60, 1, 30, 0, -5] {
                group.addTask {
                    let moment = start + .milliseconds(milliseconds)
                    try await wheel.wait(until: moment)
                    #expect(ContinuousClock.now >= moment)
                }
            }
            try await group.waitForAll()
        }
        #expect(wheel.waiters == 0)
    }

    @Test func `Who is cancelled is forgotten at once`() async throws {
        let wheel = TimerWheel()
        let far = ContinuousClock.now + .seconds(3600)
        for _ in 0..<1000 {
            let task = Task.immediate { try await wheel.wait(until: far) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(wheel.waiters == 0)
        let early = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await wheel.wait(until: far)
        }
        await #expect(throws: CancellationError.self) { try await early.value }
        #expect(wheel.waiters == 0)
    }

    @Test func `Many wait and go at the same time, and none is lost`() async throws {
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
        #expect(wheel.waiters == 0)
    }

    @Test func `A moment that never comes is waited for, and can be cancelled`() async throws {
        let wheel = TimerWheel()
        let task = Task.immediate { try await wheel.wait(until: .now + .seconds(Int64.max / 2)) }
        #expect(wheel.waiters == 1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
