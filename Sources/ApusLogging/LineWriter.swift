import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Writes lines to a file descriptor on a dedicated thread. The buffer is bounded: lines that do not fit are dropped
/// and counted.
///
/// `@unchecked Sendable`: mutable properties are accessed only while the lock of the condition is held.
package final class LineWriter: @unchecked Sendable {
    private let descriptor: Int32
    private let capacity: Int
    private let condition = NSCondition()
    private var pending: [UInt8] = []
    private var isWriting = false
    private var isRunning = false
    private var dropped = 0

    /// Creates a writer. Its thread is started by the first line.
    /// - Parameters:
    ///   - descriptor: The file descriptor to write to.
    ///   - capacity: The maximum number of buffered bytes. 1 MiB by default.
    package init(descriptor: Int32, capacity: Int = 1 << 20) {
        self.descriptor = descriptor
        self.capacity = capacity
    }

    /// Adds a line to the buffer, or drops it if the buffer is full. Never blocks.
    /// - Parameters:
    ///   - line: The line, including its line feed.
    ///   - reported: The number of dropped lines that the line reports. They are counted again if it is dropped itself.
    package func write(_ line: String, reporting reported: Int) {
        condition.lock()
        defer { condition.unlock() }
        guard pending.count + line.utf8.count <= capacity else {
            dropped += 1 + reported
            return
        }
        pending.append(contentsOf: line.utf8)
        if !isRunning { start() }
        if !isWriting { condition.signal() }
    }

    /// Returns the number of dropped lines and resets it.
    package func takeDropCount() -> Int {
        condition.lock()
        defer { condition.unlock() }
        defer { dropped = 0 }
        return dropped
    }

    /// Waits until all lines are written, for at most one second.
    package func flush() {
        let deadline = Date(timeIntervalSinceNow: 1)
        condition.lock()
        defer { condition.unlock() }
        while !pending.isEmpty || isWriting {
            guard condition.wait(until: deadline) else { return }
        }
    }

    private func start() {
        isRunning = true
        let thread = Thread { self.run() }
        thread.name = "apus.log"
        thread.start()
    }

    private func run() {
        while true {
            condition.lock()
            isWriting = false
            condition.broadcast()
            while pending.isEmpty { condition.wait() }
            isWriting = true
            let bytes = pending
            pending = []
            condition.unlock()
            writeAll(bytes)
        }
    }

    /// Writes all bytes to the descriptor.
    ///
    /// Continues when a signal interrupts a write, waits for a non-blocking descriptor to become writable, and discards
    /// the remaining bytes on all other errors, such as a closed descriptor or a full disk.
    private func writeAll(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            var remaining = UnsafeRawBufferPointer(bytes)
            while let base = remaining.baseAddress, remaining.count > 0 {
                let count = systemWrite(descriptor, base, remaining.count)
                if count > 0 {
                    remaining = UnsafeRawBufferPointer(rebasing: remaining[count...])
                } else if count < 0, errno == EAGAIN {
                    var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = systemPoll(&poll)
                } else if count == 0 || errno != EINTR {
                    return
                }
            }
        }
    }
}

// `write` and `poll` of the system under other names, because methods of the class shadow them.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
private func systemPoll(_ descriptor: inout pollfd) -> Int32 { poll(&descriptor, 1, -1) }
