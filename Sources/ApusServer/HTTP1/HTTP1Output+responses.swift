import ApusHTTP
import HTTPTypes
import NIOCore

// Writes responses: the head with its framing, the body, chunks and trailers.

extension HTTP1Output {
    /// Writes a response whose body is available. A streamed body is omitted, because the response has none by its form.
    func write(_ response: Response, _ form: HTTP1ResponseForm, keepAlive: Bool) {
        switch response.body {
        case .empty: writeHead(of: response, .length(0), form, keepAlive: keepAlive)
        case .bytes(let bytes):
            writeHead(of: response, .length(bytes.readableBytes), form, keepAlive: keepAlive)
            if form.hasBody(response) { write(bytes) }
        case .text(var text):
            writeHead(of: response, .length(text.utf8.count), form, keepAlive: keepAlive)
            guard form.hasBody(response) else { return }
            // A small text is sent together with its head; a large one is not worth copying.
            if text.utf8.count > Self.maximumCopySize { return write(ByteBuffer(string: text)) }
            text.withUTF8 { write(copying: UnsafeRawBufferPointer($0)) }
        case .stream(let declaredLength, _):
            writeHead(of: response, declaredLength.map { .length($0) } ?? .none, form, keepAlive: keepAlive)
        }
    }

    func writeHead(
        of response: Response, _ framing: ResponseHeadEncoder.Framing, _ form: HTTP1ResponseForm, keepAlive: Bool
    ) {
        append { buffer in
            ResponseHeadEncoder.encode(
                status: response.status, headers: response.headers,
                framing: response.hasNoBodyByStatus ? .none : framing, keepAlive: keepAlive,
                isVersion10: form.isVersion10, dateLine: loop.dateLine, into: &buffer)
        }
    }

    // MARK: Chunks and trailers

    /// Writes a response with trailers. Its body is chunked, because no other framing allows trailers.
    func write(_ response: Response, trailers: HTTPFields, _ form: HTTP1ResponseForm, keepAlive: Bool) {
        writeHead(of: response, .chunked, form, keepAlive: keepAlive)
        guard form.hasBody(response) else { return }
        if let bytes = response.body.buffer, bytes.readableBytes > 0 { write(Self.chunk(bytes)) }
        writeLastChunk(trailers)
    }

    /// Writes the last chunk, which is empty, and the trailers. Fields that are not allowed in trailers are omitted.
    func writeLastChunk(_ trailers: HTTPFields) {
        var end = ByteBuffer(string: "0\r\n")
        for field in trailers where field.name.isAllowedInTrailers {
            end.writeString("\(field.name.rawName): \(field.value)\r\n")
        }
        end.writeStaticString("\r\n")
        write(end)
    }

    /// Returns the bytes as a chunk (RFC 9112 §7.1).
    static func chunk(_ bytes: ByteBuffer) -> ByteBuffer {
        var chunk = ByteBuffer(string: String(bytes.readableBytes, radix: 16))
        chunk.writeStaticString("\r\n")
        chunk.writeImmutableBuffer(bytes)
        chunk.writeStaticString("\r\n")
        return chunk
    }
}
