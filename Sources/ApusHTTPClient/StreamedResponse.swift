import ApusCore
import AsyncHTTPClient
public import HTTPTypes
public import NIOCore

/// A response whose body is read as it comes.
public struct StreamedResponse: ClientAnswer {
    public let status: HTTPResponse.Status
    public let headers: HTTPFields
    /// The pieces of the body, as they come. The other side is held back while nobody asks for them. It is read once.
    public let body: Body

    init(_ response: HTTPClientResponse, limit: Int) {
        status = .init(response.status)
        headers = HTTPFields(response.headers)
        body = Body(pieces: response.body, limit: limit)
    }

    static func tooLarge(_ limit: Int) -> AppError {
        AppError(.outOfRange, "The other side answered more than the \(limit) bytes allowed.", reason: .bodyTooLarge)
    }

    /// Bytes as they come, as many of them as are allowed.
    public struct Body: AsyncSequence, Sendable {
        public typealias Element = ByteBuffer

        let pieces: HTTPClientResponse.Body
        let limit: Int

        public func makeAsyncIterator() -> Iterator { Iterator(pieces: pieces.makeAsyncIterator(), limit: limit) }

        /// All of it.
        /// - Throws: What reading it throws.
        public func collect() async throws -> ByteBuffer {
            var whole = ByteBuffer()
            for try await piece in self { whole.writeImmutableBuffer(piece) }
            return whole
        }

        public struct Iterator: AsyncIteratorProtocol {
            var pieces: HTTPClientResponse.Body.AsyncIterator
            let limit: Int
            private var count = 0

            init(pieces: HTTPClientResponse.Body.AsyncIterator, limit: Int) {
                self.pieces = pieces
                self.limit = limit
            }

            /// - Throws: An `AppError`: `outOfRange` past the limit, `unavailable` when the other side broke off or was
            ///   silent for too long; or `CancellationError`.
            @concurrent
            public mutating func next() async throws -> ByteBuffer? {
                let piece: ByteBuffer?
                do {
                    piece = try await pieces.next()
                } catch {
                    if error is CancellationError || Task.isCancelled { throw CancellationError() }
                    throw AppError(.unavailable, "The other side broke off.", cause: error)
                }
                guard let piece else { return nil }
                count += piece.readableBytes
                guard count <= limit else { throw StreamedResponse.tooLarge(limit) }
                return piece
            }
        }
    }
}
