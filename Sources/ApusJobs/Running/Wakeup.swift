import ApusCore
import Synchronization

/// What one task waits for: that there may be something to do.
package final class Wakeup: Sendable {
    private struct State {
        var isRaised = false
        var hasNews = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// - Parameter hasNews: Whether jobs may have become available, see ``takeNews()``.
    func notify(hasNews: Bool = true) {
        state.withLock { state -> CheckedContinuation<Void, Never>? in
            if hasNews { state.hasNews = true }
            guard let waiter = state.waiter.take() else {
                state.isRaised = true
                return nil
            }
            return waiter
        }?.resume()
    }

    /// Whether jobs may have become available since this was asked last.
    func takeNews() -> Bool {
        state.withLock { state in
            defer { state.hasNews = false }
            return state.hasNews
        }
    }

    /// Waits for a notification, the time limit or cancellation, whichever comes first.
    func wait(atMost limit: Duration, clock: any WallClock) async {
        guard limit > .zero else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wait() }
            group.addTask { try? await clock.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Waits for a notification or cancellation.
    package func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let resumesNow = state.withLock { state in
                    if state.isRaised || Task.isCancelled {
                        state.isRaised = false
                        return true
                    }
                    state.waiter = continuation
                    return false
                }
                if resumesNow { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiter.take() }?.resume()
        }
    }
}
