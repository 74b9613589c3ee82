import NIOCore

/// The tasks that wait until the peer has caught up. Must be used on the connection's event loop.
struct WaitingWriters {
    private var writers: [WaitingWriter] = []
    /// The cost of the writes since a task last waited.
    private var burst = 0

    /// The cost after which a writer yields to the other connections of the event loop.
    private static let maximumBurst = 1 << 20
    /// The fixed cost of a write, in bytes.
    private static let writeOverhead = 1024

    /// Resumes a task that has written and need not wait for the peer. It is resumed immediately unless it has written
    /// for long without waiting: a writer whose peer keeps up would occupy the event loop, which could not even detect
    /// that the peer has disconnected.
    mutating func resume(
        _ writer: WaitingWriter, _ continuation: CheckedContinuation<Void, any Error>, after bytes: Int,
        on loop: any EventLoop
    ) {
        burst += bytes + Self.writeOverhead
        guard burst > Self.maximumBurst else { return continuation.resume() }
        burst = 0
        if writer.isCancelled { return continuation.resume(throwing: CancellationError()) }
        writer.continuation = continuation
        // Tasks that are due by the end of an iteration run before the loop polls its sockets, hence the delay.
        loop.scheduleTask(in: .microseconds(500)) {}.futureResult.whenComplete { _ in
            writer.continuation.take()?.resume()
        }
    }

    /// Makes a task wait until the peer has caught up.
    mutating func wait(_ writer: WaitingWriter, _ continuation: CheckedContinuation<Void, any Error>) {
        if writer.isCancelled { return continuation.resume(throwing: CancellationError()) }
        burst = 0
        writer.continuation = continuation
        writers.append(writer)
    }

    /// Cancels the wait of a task, or the one that it is about to begin.
    mutating func cancel(_ writer: WaitingWriter) {
        writer.isCancelled = true
        writers.removeAll { $0 === writer }
        writer.continuation.take()?.resume(throwing: CancellationError())
    }

    /// Resumes all tasks, or fails them with the error.
    mutating func resumeAll(throwing error: (any Error)? = nil) {
        guard !writers.isEmpty else { return }
        let waiting = writers
        writers = []
        for writer in waiting {
            let continuation = writer.continuation.take()
            if let error { continuation?.resume(throwing: error) } else { continuation?.resume() }
        }
    }
}

/// A task that writes and may have to wait.
///
/// `@unchecked Sendable`: the properties are accessed only on the connection's event loop.
final class WaitingWriter: @unchecked Sendable {
    fileprivate var continuation: CheckedContinuation<Void, any Error>?
    fileprivate var isCancelled = false
}
