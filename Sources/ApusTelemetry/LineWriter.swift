import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Writes lines to a file descriptor from a thread of its own. Bounded: what does not fit is dropped and counted.
///
/// `@unchecked Sendable`: the mutable properties are touched under the condition's lock alone.
package final class LineWriter: @unchecked Sendable {
    private let descriptor: Int32
    private let capacity: Int
    private let condition = NSCondition()
    private var pending: [UInt8] = []
    private var isWriting = false
    private var isRunning = false
    private var dropped = 0

    /// - Parameter capacity: Bytes that may wait to be written. 1 MiB.
    package init(descriptor: Int32, capacity: Int = 1 << 20) {
        self.descriptor = descriptor
        self.capacity = capacity
    }

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

    package func takeDropped() -> Int {
        condition.lock()
        defer { condition.unlock() }
        defer { dropped = 0 }
        return dropped
    }

    /// Waits until everything is written, for a second at most.
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

    /// A signal interrupts nothing, a descriptor that does not block is waited for, and one that is closed or full takes nothing
    /// down.
    private func writeAll(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let base = rest.baseAddress, rest.count > 0 {
                let count = systemWrite(descriptor, base, rest.count)
                if count > 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
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

// The system's functions by names of their own: methods of the same name hide them.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
private func systemPoll(_ descriptor: inout pollfd) -> Int32 { poll(&descriptor, 1, -1) }
