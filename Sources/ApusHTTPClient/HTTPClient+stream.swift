import AsyncHTTPClient
public import HTTPTypes
public import NIOCore

extension HTTPClient {
    /// The body of a request that is sent as it is made.
    public struct StreamedBody: Sendable {
        let body: HTTPClientRequest.Body

        /// - Parameters:
        ///   - pieces: Asked for as the other side takes them.
        ///   - length: Bytes in all, if that is known; otherwise the body goes in chunks.
        public init<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces, length: Int? = nil)
        where Pieces.Element == ByteBuffer {
            body = .stream(pieces, length: length.map { .known(Int64($0)) } ?? .unknown)
        }
    }

    /// Makes a call whose bodies are too large, or last too long, to be held in memory: downloads, uploads, events.
    ///
    /// ```swift
    /// try await client.stream(.get, "https://files.example.org/export.csv") { response in
    ///     for try await piece in response.body { try await file.write(piece) }
    /// }
    /// ```
    ///
    /// Until the response begins, deadline, retries and breaker are those of ``send(_:_:headers:body:limit:)``; a call with
    /// a body of its own is not repeated. After that the body may take as long as the work at hand has, if it does not pause
    /// for longer than ``Configuration/idleTimeout``.
    /// - Parameters:
    ///   - url: With its scheme, `http` or `https`.
    ///   - limit: The most bytes of the response's body. 1 GiB.
    ///   - read: Reads the response. What it leaves unread is not received: the connection is closed.
    /// - Returns: What `read` returns.
    /// - Throws: What ``send(_:_:headers:body:limit:)`` throws until the response begins, and then what `read` throws.
    public func stream<Result>(
        _ method: HTTPRequest.Method, _ url: String, headers: HTTPFields = [:], body: StreamedBody? = nil,
        limit: Int = 1 << 30, _ read: (StreamedResponse) async throws -> Result
    ) async throws -> Result {
        try await read(
            try await perform(method, url, headers, body?.body, mayRepeat: body == nil) { call, time in
                StreamedResponse(
                    try await client.execute(call, timeout: TimeAmount(time), logger: logger), limit: limit)
            })
    }
}
