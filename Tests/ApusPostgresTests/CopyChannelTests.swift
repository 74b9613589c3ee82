import ApusCore
import NIOCore
import NIOPosix
import Testing

@testable import ApusPostgres

@Suite(.timeLimit(.minutes(1)))
struct CopyChannelTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    /// Waits until a number of tasks wait for a channel.
    private func waitForWaiters(_ count: Int, _ copy: CopyChannel) async throws {
        while try await loop.submit({ copy.waiters.count }).get() < count { await Task.yield() }
    }

    @Test func `All tasks that send data go on when the server takes it`() async throws {
        let copy = CopyChannel(loop: loop)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 { group.addTask { try await copy.waitUntilWritable() } }
            try await waitForWaiters(3, copy)
            try await loop.submit { copy.begin() }.get()
            try await group.waitForAll()
        }
    }

    @Test func `All tasks that send data are told of an error`() async throws {
        let copy = CopyChannel(loop: loop)
        let errors = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    do {
                        try await copy.waitUntilWritable()
                        return false
                    } catch {
                        return AppError(wrapping: error).code == .invalidArgument
                    }
                }
            }
            try? await waitForWaiters(3, copy)
            try? await loop.submit { copy.finish(.failure(AppError(.invalidArgument, "Rejected."))) }.get()
            return await group.reduce(into: [Bool]()) { $0.append($1) }
        }
        #expect(errors == [true, true, true])
    }
}
