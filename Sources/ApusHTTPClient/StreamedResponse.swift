import ApusCore
import AsyncHTTPClient
public import HTTPTypes
public import NIOCore

/// A response whose body is read while it arrives.
public struct StreamedResponse: ClientResponseHead {
    public let status: HTTPResponse.Status
    public let headers: HTTPFields
    /// The chunks of the body. Back-pressure is applied to the server while no chunk is requested. Can be read only
    /// once.
    public let body: Body

    init(_ response: HTTPClientResponse, limit: Int) {
        status = .init(response.status)
        headers = HTTPFields(response.headers)
        body = Body(pieces: response.body, limit: limit)
    }

    static func tooLarge(_ limit: Int) -> AppError {
        AppError(.outOfRange, "The response body exceeds the limit of \(limit) bytes.", reason: .bodyTooLarge)
    }

    /// The chunks of a response body, up to a size limit.
    public struct Body: AsyncSequence, Sendable {
        public typealias Element = ByteBuffer

        let pieces: HTTPClientResponse.Body
        let limit: Int

        public func makeAsyncIterator() -> Iterator { Iterator(pieces: pieces.makeAsyncIterator(), limit: limit) }

        /// Reads the body to its end and returns it as a whole.
        /// - Throws: The errors of ``Iterator/next()``.
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

            /// Returns the next chunk, or `nil` at the end of the body.
            /// - Throws: An `AppError` with code `outOfRange` if the body exceeds the limit, or `unavailable` if the
            ///   server closed the connection or paused for too long; or a `CancellationError`.
            @concurrent
            public mutating func next() async throws -> ByteBuffer? {
                let piece: ByteBuffer?
                do {
                    piece = try await pieces.next()
                } catch {
                    if error is CancellationError || Task.isCancelled { throw CancellationError() }
                    throw AppError(.unavailable, "The response body ended prematurely.", cause: error)
                }
                guard let piece else { return nil }
                count += piece.readableBytes
                guard count <= limit else { throw StreamedResponse.tooLarge(limit) }
                return piece
            }
        }
    }
}
