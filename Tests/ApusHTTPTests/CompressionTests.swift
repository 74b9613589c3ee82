import ApusCore
@testable import ApusHTTP
import HTTPTypes
import NIOCore
import Testing

@Suite struct CompressionTests {
    private static let long = String(repeating: "Apus apus, the common swift. ", count: 5000)

    private func decompressed(_ bytes: ByteBuffer, _ coding: ContentCoding, piece: Int = .max) throws -> String {
        let decompressor = try Decompressor(coding)
        var output = ByteBuffer(), rest = bytes
        while rest.readableBytes > 0 {
            decompressor.append(rest.readSlice(length: min(piece, rest.readableBytes))!)
            while let more = try decompressor.next(atMost: 1000) { output.writeImmutableBuffer(more) }
        }
        try decompressor.finish()
        return String(buffer: output)
    }

    private func compress(
        _ response: Response, _ accept: String? = "gzip"
    ) async throws -> Response {
        var headers: RequestHeaders = [:]
        headers[.acceptEncoding] = accept
        return await respond(to: Request(method: .get, target: "/", headers: headers), through: Compression()) { _ in
            response
        }
    }

    @Test(
        arguments: [
            (nil, nil), ("", nil), ("gzip", "gzip"), ("deflate", "deflate"), ("x-gzip", "gzip"), ("br", nil),
            ("*", "zstd"), ("gzip, deflate, br, zstd", "zstd"), ("gzip, zstd;q=0.9", "gzip"),
            ("gzip;q=0", nil), ("zstd;q=0, gzip;q=0, *", "deflate"), ("deflate, gzip;q=0.5", "deflate"),
            ("GZIP ; Q=1", "gzip"),
            ("identity, gzip;q=0.5", nil), ("gzip;q=x", nil), ("gzip;q=2", nil), (",,;,;q=1,gzip", "gzip"),
            ("*;q=0", nil),
        ] as [(String?, String?)])
    func `The coding is the one that the client prefers`(accept: String?, coding: String?) {
        #expect(ContentCoding.preferred(by: accept)?.rawValue == coding)
    }

    @Test(arguments: ["no-transform", "max-age=1, No-Transform", "no-store,no-transform,\u{301}"])
    func `A response that must not be transformed is not compressed`(directives: String) async throws {
        var plain = Response.text(Self.long)
        plain.headers[.cacheControl] = directives
        let response = try await compress(plain)
        #expect(response.headers[.contentEncoding] == nil)
        #expect(text(response) == Self.long)
    }

    @Test(arguments: [1, 7, 1 << 20]) func `A body is compressed in pieces, of which only the last ends the stream`(
        pieceSize: Int
    ) throws {
        for text in ["", "a", String(Self.long.prefix(10_000))] {
            let deflater = try Deflater(windowBits: 15 + 16, level: 6, pieceSize: pieceSize)
            let bytes = deflater.compress(ByteBuffer(string: text), .finish)
            #expect(try decompressed(bytes, .gzip) == text)
        }
    }

    @Test(arguments: ContentCoding.allCases) func `A body in memory is compressed, and its fields are updated`(
        coding: ContentCoding
    ) async throws {
        var plain = Response.text(Self.long)
        plain.headers[.eTag] = "\"a\""
        plain.headers[.acceptRanges] = "bytes"
        plain.headers[.vary] = "Origin"
        let response = try await compress(plain, coding.rawValue)
        let bytes = try #require(response.body.buffer)
        #expect(bytes.readableBytes < Self.long.utf8.count / 20)
        #expect(try decompressed(bytes, coding) == Self.long)
        #expect(try decompressed(bytes, coding, piece: 1) == Self.long)
        #expect(response.headers[.contentEncoding] == coding.rawValue)
        #expect(response.headers[.vary] == "Origin, Accept-Encoding")
        #expect(response.headers[.eTag] == "W/\"a\"" && response.headers[.acceptRanges] == nil)
    }

    @Test(arguments: ContentCoding.allCases)
    func `A streamed body is compressed, and each of its pieces can be decompressed immediately`(coding: ContentCoding)
        async throws
    {
        let response = try await compress(
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .stream { writer in
                    for text in ["[1", ",", "", "2]"] { try await writer.write(text) }
                }), coding.rawValue)
        guard case .stream(nil, let produce) = response.body else {
            Issue.record("The body is not a stream.")
            return
        }
        final class PieceWriter: ResponseBodyWriter {
            nonisolated(unsafe) let decompressor: Decompressor
            nonisolated(unsafe) var texts: [String] = []
            func write(_ bytes: ByteBuffer) throws {
                decompressor.append(bytes)
                while let piece = try decompressor.next(atMost: 100) { texts.append(String(buffer: piece)) }
            }
            func setTrailers(_ trailers: HTTPFields) {}
            init(_ decompressor: Decompressor) { self.decompressor = decompressor }
        }
        let pieces = PieceWriter(try Decompressor(coding))
        try await produce(pieces)
        #expect(pieces.texts == ["[1", ",", "2]"])
        #expect(pieces.decompressor.isFinished)
    }

    @Test func `Responses that are short, not compressible or must not be transformed are not compressed`() async throws
    {
        let json: HTTPFields = [.contentType: "application/json"]
        var responses = [
            Response.text("short"), Response(status: .ok, headers: json),
            Response(status: .ok, headers: [.contentType: "image/png"], body: .text(Self.long)),
            Response(status: .ok, headers: [.contentType: "text/event-stream"], body: .text(Self.long)),
            Response(status: .ok, headers: [:], body: .text(Self.long)),
            Response(status: .partialContent, headers: json, body: .text(Self.long)),
            Response(status: .ok, headers: json, body: .stream(length: 10) { try await $0.write("0123456789") }),
        ]
        for (name, value) in [
            (HTTPField.Name.contentEncoding, "identity"), (.contentEncoding, "br"),
            (.cacheControl, "public, No-Transform"),
        ] {
            var response = Response.text(Self.long)
            response.headers[name] = value
            responses.append(response)
        }
        for response in responses {
            let result = try await compress(response)
            #expect(result.headers[.contentEncoding] == response.headers[.contentEncoding])
            #expect(result.headers[.vary] == nil)
        }
        let unnegotiated = try await compress(.text(Self.long), nil)
        #expect(unnegotiated.headers[.contentEncoding] == nil && unnegotiated.headers[.vary] == "Accept-Encoding")
    }

    private func post(_ body: ByteBuffer, _ coding: String, limit: Int = 1 << 20, ratio: Int = 100) async throws
        -> Response
    {
        try await respond(.post, "/e", headers: [.contentEncoding: coding], body: RequestBody(body)) { routes in
            routes.group(Decompression(maximumRatio: ratio), .bodyLimit(limit)) { routes in
                routes.post("e", WholeRequest(), RawBody()) { request, body in
                    #expect(request.headers[.contentEncoding] == nil || coding == "identity")
                    return String(buffer: body)
                }
            }
        }
    }

    private func compressed(_ text: String, _ coding: ContentCoding = .gzip) throws -> ByteBuffer {
        try coding.compressor(level: 9).compress(ByteBuffer(string: text), .finish)
    }

    @Test func `Compressed request bodies are decompressed`() async throws {
        let numbers = (0..<50_000).map { "\($0)" }.joined(separator: " ")
        for (name, coding) in [("gzip", ContentCoding.gzip), ("X-GZIP", .gzip), ("deflate", .deflate), ("Zstd", .zstd)]
        {
            #expect(text(try await post(compressed("hello", coding), name)) == "hello")
            #expect(text(try await post(compressed(numbers, coding), name)) == numbers)
        }
        for (name, coding) in [("gzip", ContentCoding.gzip), ("zstd", .zstd)] {
            var several = try compressed("one, ", coding)
            for text in ["", "two, ", "", "three"] { several.writeImmutableBuffer(try compressed(text, coding)) }
            #expect(text(try await post(several, name)) == "one, two, three")
        }
        #expect(text(try await post(ByteBuffer(string: "plain"), "identity")) == "plain")
        #expect(text(try await post(compressed(""), "gzip")) == "")
        #expect(text(try await post(ByteBuffer(), "gzip")) == "")
    }

    @Test(arguments: ["br", "gzip, gzip", "zst", "gzip,", "nonsense"])
    func `An unsupported coding is answered with 415`(
        coding: String
    )
        async throws
    {
        let response = try await post(compressed("hello"), coding)
        #expect(response.status == .unsupportedMediaType)
        #expect(response.headers[.acceptEncoding] == "zstd, gzip, deflate")
    }

    @Test(arguments: ContentCoding.allCases)
    func `A truncated or corrupted body, or one with trailing data, is answered with 400`(coding: ContentCoding)
        async throws
    {
        let complete = try compressed(String(Self.long.prefix(3000)), coding)
        for length in 1..<complete.readableBytes {
            #expect(try await post(complete.getSlice(at: 0, length: length)!, coding.rawValue).status == .badRequest)
        }
        for offset in [0, 1] + (coding == .zstd ? [] : [complete.readableBytes - 1]) {
            var broken = complete
            broken.setInteger(complete.getInteger(at: offset, as: UInt8.self)! ^ 0x55, at: offset)
            #expect(try await post(broken, coding.rawValue).status == .badRequest)
        }
        var longer = complete
        longer.writeString("more")
        #expect(try await post(longer, coding.rawValue).status == .badRequest)
        guard coding == .deflate else { return }
        var twice = complete
        twice.writeImmutableBuffer(complete)
        #expect(try await post(twice, coding.rawValue).status == .badRequest)
    }

    @Test func `A zstd window that exceeds the limit of the coding is answered with 400`() async throws {
        // A frame without a content size and with a window of 16 MiB: exponent 14, mantissa 0 (RFC 8878 §3.1.1.1.2).
        let frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 14 << 3, 0x01, 0x00, 0x00]
        #expect(try await post(ByteBuffer(bytes: frame), "zstd").status == .badRequest)
        var smaller = frame
        smaller[5] = 13 << 3
        #expect(try await post(ByteBuffer(bytes: smaller), "zstd").status == .ok)
    }

    @Test func `A task cannot write to a compressed body while another task is writing`() async throws {
        let (begun, finish) = (AsyncStream.makeStream(of: Void.self), AsyncStream.makeStream(of: Void.self))
        final class BlockingWriter: ResponseBodyWriter {
            let begun: AsyncStream<Void>.Continuation
            let finish: AsyncStream<Void>
            init(_ begun: AsyncStream<Void>.Continuation, _ finish: AsyncStream<Void>) {
                self.begun = begun
                self.finish = finish
            }
            func write(_ bytes: ByteBuffer) async {
                begun.finish()
                for await _ in finish {}
            }
            func setTrailers(_ trailers: HTTPFields) {}
        }
        let response = try await compress(
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .stream { writer in
                    async let first: Void = writer.write("1")
                    for await _ in begun.stream {}
                    await #expect(throws: AppError.self) { try await writer.write("2") }
                    finish.continuation.finish()
                    try await first
                }))
        guard case .stream(_, let produce) = response.body else {
            Issue.record("The body is not a stream.")
            return
        }
        try await produce(BlockingWriter(begun.continuation, finish.stream))
    }

    @Test(arguments: ContentCoding.allCases) func `A decompression bomb is rejected early`(coding: ContentCoding)
        async throws
    {
        let bomb = try compressed(String(repeating: "\0", count: 10 << 20), coding)
        #expect(bomb.readableBytes < 20_000)
        #expect(try await post(bomb, coding.rawValue).status == .contentTooLarge)
        #expect(try await post(bomb, coding.rawValue, limit: 1 << 30, ratio: 50).status == .contentTooLarge)
        let small = try compressed(String(repeating: "a", count: 60_000), coding)
        #expect(try await post(small, coding.rawValue).status == .ok)
        #expect(try await post(small, coding.rawValue, limit: 59_999).status == .contentTooLarge)
    }

    @Test func `The limit of a route applies to a decompressed body, whether larger or smaller than the default`()
        async throws
    {
        var noise = ByteBuffer()
        for _ in 0..<150_000 { noise.writeInteger(UInt64.random(in: .min ... .max)) }
        func post(_ content: ByteBuffer, limit: Int) async throws -> HTTPResponse.Status {
            let body = RequestBody(try ContentCoding.gzip.compressor(level: 1).compress(content, .finish))
            let routes = Routes()
            routes.post("", RawBody()) { "\($0.readableBytes)" }.bodyLimit(limit)
            let router = try Router(routes)
            let request = Request(method: .post, target: "/", headers: [.contentEncoding: "gzip"], body: body)
            return await respond(to: request, through: Decompression()) { await router.respond(to: $0) }.status
        }
        #expect(try await post(noise, limit: 2 << 20) == .ok)
        #expect(try await post(noise, limit: 1_100_000) == .contentTooLarge)
        #expect(try await post(ByteBuffer(string: "hello"), limit: 5) == .ok)
        #expect(try await post(ByteBuffer(string: "hello"), limit: 4) == .contentTooLarge)
    }

    @Test func `A 304 has the Vary field and the entity tag of the corresponding 200`() async throws {
        for text in [Self.long, "short"] {
            func fetch(_ tag: String?) async -> Response {
                var headers: RequestHeaders = [.acceptEncoding: "gzip"]
                headers[.ifNoneMatch] = tag
                return await respond(
                    to: Request(method: .get, target: "/", headers: headers), through: Compression(), EntityTags()
                ) { _ in .text(text) }
            }
            let complete = await fetch(nil)
            let tag = try #require(complete.headers[.eTag])
            let conditional = await fetch(tag)
            #expect(conditional.status == .notModified)
            #expect(conditional.headers[.eTag] == tag)
            #expect(conditional.headers[.vary] == complete.headers[.vary])
            #expect(conditional.headers[.contentEncoding] == nil && conditional.headers[.contentType] == nil)
        }
    }
}
