import Foundation

/// A queue for dedicated threads, which block until elements arrive. Each connection is used by one thread at a time.
///
/// `@unchecked Sendable`: the mutable properties are accessed only under the condition's lock.
final class WorkQueue<Element: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private var elements: [Element] = []
    private var isClosed = false

    /// Appends an element.
    /// - Returns: Whether the element was accepted; `false` after ``close()``.
    func push(_ element: Element) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isClosed else { return false }
        elements.append(element)
        condition.signal()
        return true
    }

    /// Waits for elements and removes them in order.
    /// - Parameters:
    ///   - limit: The maximum number of elements to remove.
    ///   - deadline: When to stop waiting; by default never.
    ///   - gathers: Whether to wait as long as elements keep arriving.
    /// - Returns: At least one element; none if the deadline has passed; `nil` if the queue is closed and empty.
    func pop(atMost limit: Int = 1, until deadline: Date? = nil, gathers: Bool = false) -> [Element]? {
        condition.lock()
        defer { condition.unlock() }
        while elements.isEmpty && !isClosed {
            guard let deadline else {
                condition.wait()
                continue
            }
            guard condition.wait(until: deadline) else { return [] }
        }
        if gathers { gather(atMost: limit) }
        guard !elements.isEmpty else { return nil }
        let taken = Array(elements.prefix(limit))
        elements.removeFirst(taken.count)
        return taken
    }

    /// Waits as long as elements keep arriving, for about a millisecond at most. Called with the lock.
    private func gather(atMost limit: Int) {
        let end = ContinuousClock.now + .milliseconds(1)
        while elements.count < limit, !isClosed, .now < end {
            let count = elements.count
            condition.unlock()
            usleep(50)
            condition.lock()
            guard elements.count > count else { return }
        }
    }

    /// The number of elements that wait.
    var count: Int {
        condition.lock()
        defer { condition.unlock() }
        return elements.count
    }

    /// Closes the queue: it accepts no more elements, but still returns those that are queued.
    func close() {
        condition.lock()
        defer { condition.unlock() }
        isClosed = true
        condition.broadcast()
    }
}

/// Starts a named thread.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) {
    let thread = Thread { body() }
    thread.name = name
    thread.start()
}
