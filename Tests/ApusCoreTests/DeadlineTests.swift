import ApusCore
import ServiceContextModule
import Testing

@Suite struct DeadlineTests {
    @Test func `A deadline can be lowered but not raised`() {
        var context = ServiceContext.topLevel
        let near = Deadline.after(.seconds(1))
        context.lower(deadline: near)
        context.lower(deadline: .after(.seconds(60)))
        #expect(context.deadline == near)
        let nearer = Deadline.after(.zero)
        context.lower(deadline: nearer)
        #expect(context.deadline == nearer)
    }

    @Test func `An operation that exceeds its deadline is cancelled and fails with DEADLINE_EXCEEDED`() async {
        let error = await #expect(throws: AppError.self) {
            try await withDeadline(.after(.milliseconds(1))) { try await Task.sleep(for: .seconds(3600)) }
        }
        #expect(error?.code == .deadlineExceeded)
    }

    @Test func `An operation whose deadline has passed is not started`() async {
        let error = await #expect(throws: AppError.self) {
            try await withDeadline(.after(.zero)) { _ = Issue.record("The operation was started.") }
        }
        #expect(error?.code == .deadlineExceeded)
    }

    @Test func `An operation can read its deadline, and its result is returned if it is in time`() async throws {
        let deadline = Deadline.after(.seconds(3600))
        #expect(try await withDeadline(deadline) { ServiceContext.current?.deadline } == deadline)
    }

    @Test func `An earlier outer deadline takes precedence`() async {
        let error = await #expect(throws: AppError.self) {
            try await withDeadline(.after(.milliseconds(1))) {
                try await withDeadline(.after(.seconds(3600))) { try await Task.sleep(for: .seconds(3600)) }
            }
        }
        #expect(error?.code == .deadlineExceeded)
    }
}
