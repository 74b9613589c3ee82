import Foundation

/// Elements that threads of our own wait for. Blocking is their purpose: a connection is used by one thread at a time.
///
/// `@unchecked Sendable`: the mutable properties are touched under the condition's lock alone.
final class WorkQueue<Element: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private var elements: [Element] = []
    private var isClosed = false

    /// - Returns: Whether the element was taken in; not after ``close()``.
    func push(_ element: Element) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isClosed else { return false }
        elements.append(element)
        condition.signal()
        return true
    }

    /// Waits for elements and takes them in order.
    /// - Parameters:
    ///   - limit: The most to take.
    ///   - deadline: When to stop waiting; never, by default.
    /// - Returns: At least one element; none when the queue is closed and empty, or the deadline has passed.
    func pop(atMost limit: Int = 1, until deadline: Date? = nil) -> [Element] {
        condition.lock()
        defer { condition.unlock() }
        while elements.isEmpty && !isClosed {
            guard let deadline else {
                condition.wait()
                continue
            }
            guard condition.wait(until: deadline) else { return [] }
        }
        let taken = Array(elements.prefix(limit))
        elements.removeFirst(taken.count)
        return taken
    }

    /// What is queued is still handed out; nothing new is taken in.
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
