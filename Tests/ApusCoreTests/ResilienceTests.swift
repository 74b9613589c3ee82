@testable import ApusCore
import Synchronization
import Testing

@Suite struct ResilienceTests {
    private func machine(_ change: (inout CircuitBreaker.Policy) -> Void = { _ in }) -> CircuitStateMachine {
        var policy = CircuitBreaker.Policy()
        change(&policy)
        return CircuitStateMachine(policy: policy, now: .zero)
    }

    private func call(_ machine: inout CircuitStateMachine, _ outcome: CircuitBreaker.Outcome, at now: Duration) -> Bool
    {
        guard case .admitted(let ticket) = machine.admit(now: now) else { return false }
        machine.record(outcome, ticket, now: now)
        return true
    }

    @Test func `The circuit opens at the failure ratio, but not below the minimum number of calls`() {
        var machine = machine()
        for _ in 0..<10 { #expect(call(&machine, .success, at: .zero)) }
        for _ in 0..<9 { #expect(call(&machine, .failure, at: .zero)) }
        #expect(machine.current == .closed)
        #expect(call(&machine, .failure, at: .zero))
        #expect(machine.current == .open)
        var few = self.machine()
        for _ in 0..<19 { #expect(call(&few, .failure, at: .zero)) }
        #expect(few.current == .closed)
    }

    @Test func `Failures outside the window are not counted`() {
        var machine = machine()
        for second in 0..<100 {
            #expect(call(&machine, .failure, at: .seconds(second)))
        }
        #expect(machine.current == .closed)
    }

    @Test func `An open circuit rejects calls with the remaining time, then admits one probe`() {
        var machine = machine()
        for _ in 0..<20 { _ = call(&machine, .failure, at: .seconds(1)) }
        guard case .rejected(let wait) = machine.admit(now: .seconds(3)) else {
            Issue.record("The call was admitted.")
            return
        }
        #expect(wait == .seconds(3))
        #expect(machine.state(now: .seconds(6)) == .halfOpen)
        guard case .admitted(let probe) = machine.admit(now: .seconds(6)) else {
            Issue.record("The probe was rejected.")
            return
        }
        guard case .rejected = machine.admit(now: .seconds(6)) else {
            Issue.record("A second probe was admitted.")
            return
        }
        machine.record(.success, probe, now: .seconds(7))
        #expect(machine.current == .closed)
        for _ in 0..<19 { #expect(call(&machine, .failure, at: .seconds(7))) }
        #expect(machine.current == .closed)
    }

    @Test func `A failed probe reopens the circuit, an inconclusive one allows another probe`() {
        var machine = machine()
        for _ in 0..<20 { _ = call(&machine, .failure, at: .zero) }
        #expect(call(&machine, .none, at: .seconds(5)))
        #expect(call(&machine, .failure, at: .seconds(5)))
        #expect(!call(&machine, .success, at: .seconds(9)))
        #expect(call(&machine, .success, at: .seconds(10)))
        #expect(machine.current == .closed)
    }

    @Test func `The outcome of a call admitted before the circuit opened is ignored`() {
        var machine = machine()
        guard case .admitted(let old) = machine.admit(now: .zero) else {
            Issue.record("The call was rejected.")
            return
        }
        for _ in 0..<20 { _ = call(&machine, .failure, at: .zero) }
        machine.record(.success, old, now: .seconds(1))
        #expect(machine.current == .open)
        guard case .admitted = machine.admit(now: .seconds(5)) else {
            Issue.record("The probe was rejected.")
            return
        }
        machine.record(.success, old, now: .seconds(5))
        #expect(machine.current == .halfOpen)
    }

    @Test func `A circuit breaker does not count cancellations and non-transient errors as failures`() async {
        let changes = Mutex<[CircuitBreaker.State]>([])
        let breaker = CircuitBreaker("x") { state in changes.withLock { $0.append(state) } }
        for _ in 0..<50 {
            await #expect(throws: AppError.self) { try await breaker.run { throw AppError(.notFound, "No.") } }
            await #expect(throws: CancellationError.self) { try await breaker.run { throw CancellationError() } }
        }
        #expect(breaker.state == .closed)
        for _ in 0..<50 {
            await #expect(throws: AppError.self) { try await breaker.run { throw AppError(.unavailable, "No.") } }
        }
        for _ in 0..<50 { _ = try? await breaker.run { throw AppError(.unavailable, "No.") } }
        #expect(breaker.state == .open)
        let error = await #expect(throws: AppError.self) {
            try await breaker.run { Issue.record("The operation was called.") }
        }
        #expect(error?.details.reason == .circuitOpen && error?.details.retryAfter != nil)
        #expect(changes.withLock { $0 } == [.open])
    }

    @Test func `Retry delays grow, are random and have an upper bound`() {
        let policy = RetryPolicy(baseDelay: .milliseconds(100), maximumDelay: .seconds(1))
        #expect(
            (1...6).map { policy.delay(after: $0, random: 1) }
                == [100, 200, 400, 800, 1000, 1000].map { .milliseconds($0) })
        #expect(policy.delay(after: 1, random: 0.5) == .milliseconds(50))
        #expect(policy.delay(after: .max, random: 1) == .seconds(1))
        #expect(RetryPolicy(maximumAttempts: -1).maximumAttempts == 1)
    }

    @Test func `A budget allows retries for a fraction of the calls`() {
        let budget = RetryBudget(ratio: 0.25, capacity: 2)
        #expect(budget.withdraw() && budget.withdraw() && !budget.withdraw())
        for _ in 0..<4 { budget.deposit() }
        #expect(budget.withdraw() && !budget.withdraw())
        for _ in 0..<100 { budget.deposit() }
        #expect(budget.withdraw() && budget.withdraw() && !budget.withdraw())
    }
}
