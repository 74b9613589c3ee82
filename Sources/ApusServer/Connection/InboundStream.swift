import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization

/// A buffer between the connection and the one task that reads from it. Unread bytes apply backpressure to the peer.
final class InboundStream: RequestBodySource {
    private struct State {
        var pieces: CircularBuffer<ByteBuffer> = []
        /// The number of buffered bytes plus an overhead for each piece, so that many tiny pieces count as well.
        var weight = 0
        var end: Result<Void, any Error>?
        var trailers: HTTPFields = [:]
        var reader: CheckedContinuation<ByteBuffer?, any Error>?
    }

    let length: Int?
    private let capacity: Int
    private let onDemand: @Sendable () -> Void
    private let onConsume: @Sendable (Int) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - length: The declared length, if any.
    ///   - capacity: The weight of buffered bytes at which the connection is no longer read.
    ///   - onConsume: Called on any thread with the number of bytes that were read.
    ///   - onDemand: Called on any thread when there is room for more bytes.
    init(
        length: Int?, capacity: Int, onConsume: @escaping @Sendable (Int) -> Void = { _ in },
        onDemand: @escaping @Sendable () -> Void
    ) {
        self.length = length
        self.capacity = capacity
        self.onConsume = onConsume
        self.onDemand = onDemand
    }

    /// Appends bytes.
    /// - Returns: Whether there is room for more.
    func push(_ bytes: ByteBuffer) -> Bool {
        let (reader, hasRoom) = state.withLock { state in
            guard state.end == nil else { return (nil as CheckedContinuation<ByteBuffer?, any Error>?, true) }
            if let reader = state.reader.take() { return (reader, true) }
            if bytes.readableBytes < Self.smallPiece, let last = state.pieces.indices.last,
                state.pieces[last].readableBytes < Self.smallPiece
            {
                // A client that sends single bytes must not create a piece for each of them.
                state.pieces[last].writeImmutableBuffer(bytes)
                state.weight += bytes.readableBytes
            } else {
                state.pieces.append(bytes)
                state.weight += Self.weight(of: bytes)
            }
            return (nil, state.weight < capacity)
        }
        reader?.resume(returning: bytes)
        return hasRoom
    }

    private static let smallPiece = 1024

    private static func weight(of piece: ByteBuffer) -> Int { piece.readableBytes + 256 }

    /// Whether there are received bytes that have not been read.
    var hasUnreadBytes: Bool { state.withLock { !$0.pieces.isEmpty } }

    /// The trailer fields, once the whole body has been received.
    var trailers: HTTPFields { state.withLock { $0.trailers } }

    /// Ends the stream: after the buffered bytes, it finishes or throws the error.
    func finish(trailers: HTTPFields = [:], throwing error: (any Error)? = nil) {
        let reader = state.withLock { state in
            guard state.end == nil else { return nil as CheckedContinuation<ByteBuffer?, any Error>? }
            state.end = error.map { .failure($0) } ?? .success(())
            state.trailers = trailers
            return state.reader.take()
        }
        if let error { reader?.resume(throwing: error) } else { reader?.resume(returning: nil) }
    }

    /// Discards the buffered bytes and everything that would follow.
    /// - Returns: The number of bytes that were discarded.
    func discard() -> Int {
        finish(throwing: AppError(.cancelled, "The rest of the body has been discarded."))
        return state.withLock { state in
            let bytes = state.pieces.reduce(0) { $0 + $1.readableBytes }
            state.pieces = []
            state.weight = 0
            return bytes
        }
    }

    func next(limit: Int) async throws -> ByteBuffer? { try await next() }

    func next() async throws -> ByteBuffer? {
        let piece = try await nextPiece()
        if let piece { onConsume(piece.readableBytes) }
        return piece
    }

    private func nextPiece() async throws -> ByteBuffer? {
        switch try take() {
        case .piece(let piece, let wasFull):
            if wasFull { onDemand() }
            return piece
        case .end: return nil
        case .empty: break
        }
        onDemand()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in wait(continuation) }
        } onCancel: {
            state.withLock { $0.reader.take() }?.resume(throwing: CancellationError())
        }
    }

    private enum TakeResult {
        case piece(ByteBuffer, wasFull: Bool)
        case end
        case empty
    }

    private func take() throws -> TakeResult {
        try state.withLock { state in
            if let piece = state.pieces.popFirst() {
                let wasFull = state.weight >= capacity
                state.weight -= Self.weight(of: piece)
                return .piece(piece, wasFull: wasFull && state.weight < capacity)
            }
            guard let end = state.end else { return .empty }
            try end.get()
            return .end
        }
    }

    /// Suspends the reader. Checks again under the lock, because bytes may have arrived since ``take()``.
    private func wait(_ continuation: CheckedContinuation<ByteBuffer?, any Error>) {
        let result: Result<ByteBuffer?, any Error>? = state.withLock { state in
            if let piece = state.pieces.popFirst() {
                state.weight -= Self.weight(of: piece)
                return .success(piece)
            }
            if let end = state.end { return end.map { nil } }
            if Task.isCancelled { return .failure(CancellationError()) }
            guard state.reader == nil else {
                return .failure(AppError(.internal, "A body may only be read by one task at a time."))
            }
            state.reader = continuation
            return nil
        }
        if let result { continuation.resume(with: result) }
    }
}
