import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import Synchronization

/// Bytes on their way from the connection to the one task that reads them. What is not read holds the peer back.
final class InboundStream: RequestBodySource {
    private struct State {
        var pieces: CircularBuffer<ByteBuffer> = []
        /// The weight of what is held: its bytes, and something for each piece, so that many tiny ones count too.
        var weight = 0
        var end: Result<Void, any Error>?
        var trailers: HTTPFields = [:]
        var reader: CheckedContinuation<ByteBuffer?, any Error>?
    }

    let length: Int?
    private let capacity: Int
    private let onDemand: @Sendable () -> Void
    private let onTake: @Sendable (Int) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - length: The announced length, if there is one.
    ///   - capacity: The most bytes to hold before the connection is no longer read.
    ///   - onTake: Called, on any thread, with how many bytes were read.
    ///   - onDemand: Called, on any thread, when there is room again.
    init(
        length: Int?, capacity: Int, onTake: @escaping @Sendable (Int) -> Void = { _ in },
        onDemand: @escaping @Sendable () -> Void
    ) {
        self.length = length
        self.capacity = capacity
        self.onTake = onTake
        self.onDemand = onDemand
    }

    /// Adds bytes.
    /// - Returns: Whether there is room for more.
    func push(_ bytes: ByteBuffer) -> Bool {
        let (reader, hasRoom) = state.withLock { state in
            guard state.end == nil else { return (nil as CheckedContinuation<ByteBuffer?, any Error>?, true) }
            if let reader = state.reader.take() { return (reader, true) }
            if bytes.readableBytes < Self.smallPiece, let last = state.pieces.indices.last,
                state.pieces[last].readableBytes < Self.smallPiece
            {
                // Not a piece for each byte of somebody who sends them one by one.
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

    /// Whether something came that nobody has read yet.
    var hasUnreadBytes: Bool { state.withLock { !$0.pieces.isEmpty } }

    /// The fields that came after the body, once all of it did.
    var trailers: HTTPFields { state.withLock { $0.trailers } }

    /// No more bytes will come: the stream ends after those that are here, or fails.
    func finish(trailers: HTTPFields = [:], throwing error: (any Error)? = nil) {
        let reader = state.withLock { state in
            guard state.end == nil else { return nil as CheckedContinuation<ByteBuffer?, any Error>? }
            state.end = error.map { .failure($0) } ?? .success(())
            state.trailers = trailers
            return state.reader.take()
        }
        if let error { reader?.resume(throwing: error) } else { reader?.resume(returning: nil) }
    }

    /// Lets go of what nobody has read, and of what would come.
    /// - Returns: How many bytes that were.
    func discard() -> Int {
        finish(throwing: AppError(.cancelled, "The body is no longer read."))
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
        if let piece { onTake(piece.readableBytes) }
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

    private enum Taken {
        case piece(ByteBuffer, wasFull: Bool)
        case end
        case empty
    }

    private func take() throws -> Taken {
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

    /// Looks again under the lock, because bytes may have come since ``take()``.
    private func wait(_ continuation: CheckedContinuation<ByteBuffer?, any Error>) {
        let result: Result<ByteBuffer?, any Error>? = state.withLock { state in
            if let piece = state.pieces.popFirst() {
                state.weight -= Self.weight(of: piece)
                return .success(piece)
            }
            if let end = state.end { return end.map { nil } }
            if Task.isCancelled { return .failure(CancellationError()) }
            guard state.reader == nil else {
                return .failure(AppError(.internal, "A body is read by one task at a time."))
            }
            state.reader = continuation
            return nil
        }
        if let result { continuation.resume(with: result) }
    }
}
