import Synchronization

/// Counts the visits to a connection's thread: how often a task hands work to it and waits.
final class VisitCounter: Sendable {
    private let visits = Atomic(0)

    var count: Int { visits.load(ordering: .relaxed) }

    func increment() { visits.add(1, ordering: .relaxed) }
}
