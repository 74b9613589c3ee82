import NIOCore

/// The tasks that wait until the peer has caught up. To be used on the connection's event loop.
struct WaitingWriters {
    private var writers: [WaitingWriter] = []
    /// What was written since a task last waited.
    private var burst = 0

    /// After so many bytes a task lets the loop see to its other connections.
    private static let longestBurst = 1 << 20
    /// The work of a write that is none of its bytes', counted in bytes.
    private static let costOfWrite = 1024

    /// Lets a task go on that has written and need not wait for the peer: at once, unless it has gone on for long. A peer
    /// that keeps up with it would have the loop for itself otherwise, and would not be missed when it is gone.
    mutating func goOn(
        _ writer: WaitingWriter, _ continuation: CheckedContinuation<Void, any Error>, after bytes: Int,
        on loop: any EventLoop
    ) {
        burst += bytes + Self.costOfWrite
        guard burst > Self.longestBurst else { return continuation.resume() }
        burst = 0
        if writer.isCancelled { return continuation.resume(throwing: CancellationError()) }
        writer.continuation = continuation
        // What is due by the end of the loop's turn is done before it looks at its sockets.
        loop.scheduleTask(in: .microseconds(500)) {}.futureResult.whenComplete { _ in
            writer.continuation.take()?.resume()
        }
    }

    /// Lets a task wait.
    mutating func wait(_ writer: WaitingWriter, _ continuation: CheckedContinuation<Void, any Error>) {
        if writer.isCancelled { return continuation.resume(throwing: CancellationError()) }
        burst = 0
        writer.continuation = continuation
        writers.append(writer)
    }

    /// Ends a task's wait, or the one that it is about to begin.
    mutating func cancel(_ writer: WaitingWriter) {
        writer.isCancelled = true
        writers.removeAll { $0 === writer }
        writer.continuation.take()?.resume(throwing: CancellationError())
    }

    /// Lets all go on, or fail.
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

/// A task that writes, and may have to wait.
///
/// `@unchecked Sendable`: the properties are touched on the connection's event loop alone.
final class WaitingWriter: @unchecked Sendable {
    fileprivate var continuation: CheckedContinuation<Void, any Error>?
    fileprivate var isCancelled = false
}
