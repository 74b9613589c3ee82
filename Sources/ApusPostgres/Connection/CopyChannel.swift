import NIOCore

/// Passes the data of a COPY between a connection and the task that sends or reads it, with back-pressure.
///
/// `@unchecked Sendable`: accessed only on the connection's event loop, apart from the methods that hop to it.
final class CopyChannel: @unchecked Sendable {
    private let loop: any EventLoop
    private var hasBegun = false
    /// Whether nobody will send data any more. The server may ask for it later.
    var isAbandoned = false
    private var isWritable = true
    private var chunks = CircularBuffer<ByteBuffer>()
    private var bufferedBytes = 0
    private var end: Result<StatementResult, any Error>?
    /// Tasks may send data at the same time.
    private(set) var waiters: [UnsafeContinuation<Void, Never>] = []
    /// Called when reading from the socket must pause or may go on.
    var setReading: (Bool) -> Void = { _ in }

    /// How many bytes are buffered before reading from the socket pauses.
    private static let maximumBufferedBytes = 1 << 20

    init(loop: any EventLoop) { self.loop = loop }

    // MARK: On the event loop

    func begin() {
        hasBegun = true
        wake()
    }

    func received(_ chunk: ByteBuffer) {
        let wasFull = bufferedBytes > Self.maximumBufferedBytes
        chunks.append(chunk)
        bufferedBytes += chunk.readableBytes
        if !wasFull, bufferedBytes > Self.maximumBufferedBytes { setReading(false) }
        wake()
    }

    func finish(_ result: Result<StatementResult, any Error>) {
        end = result
        setReading(true)
        setReading = { _ in }
        wake()
    }

    func writabilityChanged(_ isWritable: Bool) {
        self.isWritable = isWritable
        if isWritable { wake() }
    }

    /// Whether data may be sent now.
    enum Writing {
        case ready
        /// The server has not asked for data yet, or cannot keep up, or has rejected it.
        case wait
        /// The server has ended the COPY by itself.
        case ended
    }

    var writing: Writing {
        switch end {
        case .success: .ended
        case .failure: .wait
        case nil: hasBegun && isWritable ? .ready : .wait
        }
    }

    private func wake() {
        let woken = waiters
        waiters = []
        for waiter in woken { waiter.resume() }
    }

    private enum Chunk: Sendable {
        case bytes(ByteBuffer)
        case end
        case failed(any Error)
    }

    private func takeChunk() -> Chunk? {
        if let chunk = chunks.popFirst() {
            let wasFull = bufferedBytes > Self.maximumBufferedBytes
            bufferedBytes -= chunk.readableBytes
            if wasFull, bufferedBytes <= Self.maximumBufferedBytes { setReading(true) }
            return .bytes(chunk)
        }
        switch end {
        case nil: return nil
        case .success: return .end
        case .failure(let error): return .failed(error)
        }
    }

    // MARK: On the task

    /// Waits until data may be sent.
    /// - Throws: The error of the server, if it does not take the data.
    func waitUntilWritable() async throws {
        while true {
            let (end, writing) = try await onLoop { ($0.end, $0.writing) }
            if case .failure(let error) = end { throw error }
            switch writing {
            case .ready, .ended: return
            case .wait: await wait { $0.end != nil || $0.hasBegun && $0.isWritable }
            }
        }
    }

    /// Returns the next piece of data, or `nil` at the end.
    func next() async throws -> ByteBuffer? {
        while true {
            switch try await onLoop({ $0.takeChunk() }) {
            case .bytes(let chunk): return chunk
            case .end: return nil
            case .failed(let error): throw error
            case nil: await wait { !$0.chunks.isEmpty || $0.end != nil }
            }
        }
    }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable (CopyChannel) -> Value) async throws -> Value {
        try await loop.submit { body(self) }.get()
    }

    /// Waits for the next event, unless a condition is already true.
    private func wait(unless condition: @escaping @Sendable (CopyChannel) -> Bool) async {
        await withUnsafeContinuation { continuation in
            loop.runNowOrSoon {
                if condition(self) { continuation.resume() } else { self.waiters.append(continuation) }
            }
        }
    }
}
