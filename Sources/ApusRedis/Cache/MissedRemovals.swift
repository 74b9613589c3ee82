import ApusData
import Synchronization

/// The removals that Redis has missed because it was away. Bounded: if there are too many, everything is removed.
final class MissedRemovals: Sendable {
    enum Removal: Hashable, Sendable {
        case key(CacheKey)
        case group(CacheGroup)
    }

    private struct State {
        var removals: [Removal: Int] = [:]
        var lastNumber = 0
    }

    private static let maximumCount = 1000

    private let state = Mutex(State())

    /// The removals and the number of the last one; `nil` if there are none.
    var pending: (removals: [Removal], number: Int)? {
        state.withLock { state in
            state.removals.isEmpty ? nil : (Array(state.removals.keys), state.lastNumber)
        }
    }

    func add(_ removal: Removal) {
        state.withLock { state in
            state.lastNumber += 1
            if state.removals.count >= Self.maximumCount { state.removals = [.group(.all): state.lastNumber] }
            state.removals[removal] = state.lastNumber
        }
    }

    /// Forgets the removals up to a number, which have been sent.
    func sent(upTo number: Int) {
        state.withLock { state in state.removals = state.removals.filter { $0.value > number } }
    }
}
