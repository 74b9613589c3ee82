import Synchronization

/// A bounded queue of events for one reader, whose writers never wait. If it is full, the oldest event gives way and a gap
/// comes first.
package final class BoundedEvents<Event: Sendable>: Sendable {
    private struct State {
        var events: [Event] = []
        /// Where the queue begins in ``events``.
        var first = 0
        /// Whether events have been lost since the reader last heard of it.
        var hasGap = false
        var reader: CheckedContinuation<Event?, any Error>?
        var isFinished = false
    }

    private let capacity: Int
    private let gap: Event
    private let state = Mutex(State())

    /// - Parameters:
    ///   - capacity: The maximum number of events, at least 1.
    ///   - gap: The event that stands for lost ones.
    package init(capacity: Int, gap: Event) {
        self.capacity = max(1, capacity)
        self.gap = gap
    }

    /// Adds an event.
    package func push(_ event: Event) {
        let reader = state.withLock { state -> CheckedContinuation<Event?, any Error>? in
            guard !state.isFinished else { return nil }
            // A waiting reader has taken everything before.
            if let reader = state.reader.take() { return reader }
            if state.events.count - state.first >= capacity {
                state.first += 1
                state.hasGap = true
            }
            if state.first > capacity {
                state.events.removeFirst(state.first)
                state.first = 0
            }
            state.events.append(event)
            return nil
        }
        reader?.resume(returning: event)
    }

    /// Notes that events were lost. What the reader has not read yet is older than the gap, so it is dropped: the reader
    /// is going to read the current state anyway.
    package func pushGap() {
        let reader = state.withLock { state -> CheckedContinuation<Event?, any Error>? in
            guard !state.isFinished else { return nil }
            if let reader = state.reader.take() { return reader }
            state.events = []
            state.first = 0
            state.hasGap = true
            return nil
        }
        reader?.resume(returning: gap)
    }

    /// Ends the queue and drops its events.
    /// - Returns: Whether it had not ended before.
    @discardableResult
    package func finish() -> Bool {
        let (wasOpen, reader) = state.withLock { state in
            defer {
                state.isFinished = true
                state.events = []
                state.first = 0
            }
            return (!state.isFinished, state.reader.take())
        }
        reader?.resume(returning: nil)
        return wasOpen
    }

    /// Waits for the next event.
    /// - Returns: `nil` after the end.
    /// - Throws: `CancellationError`; an error if another task already waits.
    package func next() async throws -> Event? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result: Result<Event?, any Error>? = state.withLock { state in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if state.hasGap {
                        state.hasGap = false
                        return .success(gap)
                    }
                    if state.first < state.events.count {
                        let event = state.events[state.first]
                        state.first += 1
                        if state.first == state.events.count {
                            state.events.removeAll(keepingCapacity: true)
                            state.first = 0
                        }
                        return .success(event)
                    }
                    if state.isFinished { return .success(nil) }
                    guard state.reader == nil else { return .failure(SecondReader()) }
                    state.reader = continuation
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            state.withLock { $0.reader.take() }?.resume(throwing: CancellationError())
        }
    }
}

/// Two tasks read one subscription.
private struct SecondReader: Error, CustomStringConvertible {
    var description: String { "Only one task at a time may read a subscription." }
}
