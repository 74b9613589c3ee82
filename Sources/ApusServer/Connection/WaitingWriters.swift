/// The tasks that wait until the peer has caught up. To be used on the connection's event loop.
struct WaitingWriters {
    private var writers: [WaitingWriter] = []

    /// Lets a task wait.
    mutating func wait(_ writer: WaitingWriter, _ continuation: CheckedContinuation<Void, any Error>) {
        if writer.isCancelled { return continuation.resume(throwing: CancellationError()) }
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
