import AsyncHTTPClient
public import HTTPTypes
public import NIOCore

extension HTTPClient {
    /// A request body that is sent while it is produced.
    public struct StreamedBody: Sendable {
        let body: HTTPClientRequest.Body

        /// Creates a body from a sequence of chunks.
        /// - Parameters:
        ///   - pieces: The chunks of the body, requested only as fast as the server accepts them.
        ///   - length: The total length in bytes, if it is known; otherwise the body is sent with chunked encoding.
        public init<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces, length: Int? = nil)
        where Pieces.Element == ByteBuffer {
            body = .stream(pieces, length: length.map { .known(Int64($0)) } ?? .unknown)
        }
    }

    /// Sends a request and streams the bodies, for those too large or too long-lived to hold in memory, such as
    /// downloads, uploads and event streams.
    ///
    /// ```swift
    /// try await client.stream(.get, "https://files.example.org/export.csv") { response in
    ///     for try await piece in response.body { try await file.write(piece) }
    /// }
    /// ```
    ///
    /// Until the response begins, the deadline, retries and circuit breaker work as in
    /// ``send(_:_:headers:body:limit:)``, except that a request with a body is not retried. After that, only the
    /// deadline of the current task limits the transfer, and the body must not pause for longer than
    /// ``Configuration/idleTimeout``.
    /// - Parameters:
    ///   - url: An absolute URL with scheme `http` or `https`.
    ///   - limit: The maximum size of the response body, in bytes. 1 GiB by default.
    ///   - read: Reads the response. If it does not read the body to its end, the connection is closed.
    /// - Returns: The result of `read`.
    /// - Throws: The errors of ``send(_:_:headers:body:limit:)`` until the response begins, then those of `read`.
    public func stream<Result>(
        _ method: HTTPRequest.Method, _ url: String, headers: HTTPFields = [:], body: StreamedBody? = nil,
        limit: Int = 1 << 30, _ read: (StreamedResponse) async throws -> Result
    ) async throws -> Result {
        try await read(
            try await perform(method, url, headers, body?.body, isReplayable: body == nil) { request, timeout in
                StreamedResponse(
                    try await client.execute(request, timeout: TimeAmount(timeout), logger: logger), limit: limit)
            })
    }
}
