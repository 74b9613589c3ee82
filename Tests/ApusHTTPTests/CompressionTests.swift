import ApusCore
@testable import ApusHTTP
import HTTPTypes
import NIOCore
import Testing

@Suite struct CompressionTests {
    private static let long = String(repeating: "Apus apus, the common swift. ", count: 5000)

    private func inflated(_ bytes: ByteBuffer, _ coding: ContentCoding, piece: Int = .max) throws -> String {
        let decompressor = try Decompressor(coding)
        var whole = ByteBuffer(), rest = bytes
        while rest.readableBytes > 0 {
            decompressor.append(rest.readSlice(length: min(piece, rest.readableBytes))!)
            while let more = try decompressor.next(atMost: 1000) { whole.writeImmutableBuffer(more) }
        }
        try decompressor.finish()
        return String(buffer: whole)
    }

    private func ask(
        _ response: Response, _ accept: String? = "gzip"
    ) async throws -> Response {
        var headers: RequestHeaders = [:]
        headers[.acceptEncoding] = accept
        return await answer(Request(method: .get, target: "/", headers: headers), behind: Compression()) { _ in response
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
    func `The coding is the one that the client likes best`(accept: String?, coding: String?) {
        #expect(ContentCoding.preferred(by: accept)?.rawValue == coding)
    }

    @Test(arguments: ContentCoding.allCases) func `A body at hand is compressed and its fields say so`(
        coding: ContentCoding
    ) async throws {
        var plain = Response.text(Self.long)
        plain.headers[.eTag] = "\"a\""
        plain.headers[.acceptRanges] = "bytes"
        plain.headers[.vary] = "Origin"
        let response = try await ask(plain, coding.rawValue)
        let bytes = try #require(response.body.buffer)
        #expect(bytes.readableBytes < Self.long.utf8.count / 20)
        #expect(try inflated(bytes, coding) == Self.long)
        #expect(try inflated(bytes, coding, piece: 1) == Self.long)
        #expect(response.headers[.contentEncoding] == coding.rawValue)
        #expect(response.headers[.vary] == "Origin, Accept-Encoding")
        #expect(response.headers[.eTag] == "W/\"a\"" && response.headers[.acceptRanges] == nil)
    }

    @Test(arguments: ContentCoding.allCases)
    func `A streamed body is compressed, and each of its pieces can be read at once`(coding: ContentCoding) async throws
    {
        let response = try await ask(
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .stream { writer in
                    for text in ["[1", ",", "", "2]"] { try await writer.write(text) }
                }), coding.rawValue)
        guard case .stream(nil, let produce) = response.body else {
            Issue.record("It is no stream.")
            return
        }
        final class Pieces: ResponseBodyWriter {
            nonisolated(unsafe) let decompressor: Decompressor
            nonisolated(unsafe) var texts: [String] = []
            func write(_ bytes: ByteBuffer) throws {
                decompressor.append(bytes)
                while let piece = try decompressor.next(atMost: 100) { texts.append(String(buffer: piece)) }
            }
            func setTrailers(_ trailers: HTTPFields) {}
            init(_ decompressor: Decompressor) { self.decompressor = decompressor }
        }
        let pieces = Pieces(try Decompressor(coding))
        try await produce(pieces)
        #expect(pieces.texts == ["[1", ",", "2]"])
        #expect(pieces.decompressor.isFinished)
    }

    @Test func `What would not gain by it, or must not change, is left alone`() async throws {
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
            let answered = try await ask(response)
            #expect(answered.headers[.contentEncoding] == response.headers[.contentEncoding])
            #expect(answered.headers[.vary] == nil)
        }
        let unasked = try await ask(.text(Self.long), nil)
        #expect(unasked.headers[.contentEncoding] == nil && unasked.headers[.vary] == "Accept-Encoding")
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

    @Test func `Compressed bodies of requests are read as what they stand for`() async throws {
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

    @Test(arguments: ["br", "gzip, gzip", "zst", "gzip,", "nonsense"]) func `Other codings are 415`(coding: String)
        async throws
    {
        let response = try await post(compressed("hello"), coding)
        #expect(response.status == .unsupportedMediaType)
        #expect(response.headers[.acceptEncoding] == "zstd, gzip, deflate")
    }

    @Test(arguments: ContentCoding.allCases) func `What is cut off, changed, or goes on is 400`(coding: ContentCoding)
        async throws
    {
        let whole = try compressed(String(Self.long.prefix(3000)), coding)
        for length in 1..<whole.readableBytes {
            #expect(try await post(whole.getSlice(at: 0, length: length)!, coding.rawValue).status == .badRequest)
        }
        for offset in [0, 1] + (coding == .zstd ? [] : [whole.readableBytes - 1]) {
            var broken = whole
            broken.setInteger(whole.getInteger(at: offset, as: UInt8.self)! ^ 0x55, at: offset)
            #expect(try await post(broken, coding.rawValue).status == .badRequest)
        }
        var longer = whole
        longer.writeString("more")
        #expect(try await post(longer, coding.rawValue).status == .badRequest)
        guard coding == .deflate else { return }
        var twice = whole
        twice.writeImmutableBuffer(whole)
        #expect(try await post(twice, coding.rawValue).status == .badRequest)
    }

    @Test func `A window of zstd that is larger than the coding allows is 400`() async throws {
        // A frame without its size, whose window is 16 MiB: exponent 14, mantissa 0 (RFC 8878 §3.1.1.1.2).
        let frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 14 << 3, 0x01, 0x00, 0x00]
        #expect(try await post(ByteBuffer(bytes: frame), "zstd").status == .badRequest)
        var smaller = frame
        smaller[5] = 13 << 3
        #expect(try await post(ByteBuffer(bytes: smaller), "zstd").status == .ok)
    }

    @Test func `Two tasks that write one compressed body at once do not mix their pieces`() async throws {
        let (begun, finish) = (AsyncStream.makeStream(of: Void.self), AsyncStream.makeStream(of: Void.self))
        final class Waiting: ResponseBodyWriter {
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
        let response = try await ask(
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
            Issue.record("It is no stream.")
            return
        }
        try await produce(Waiting(begun.continuation, finish.stream))
    }

    @Test(arguments: ContentCoding.allCases) func `A bomb is refused long before it is large`(coding: ContentCoding)
        async throws
    {
        let bomb = try compressed(String(repeating: "\0", count: 100 << 20), coding)
        #expect(bomb.readableBytes < 200_000)
        #expect(try await post(bomb, coding.rawValue).status == .contentTooLarge)
        #expect(try await post(bomb, coding.rawValue, limit: 1 << 30, ratio: 50).status == .contentTooLarge)
        let small = try compressed(String(repeating: "a", count: 60_000), coding)
        #expect(try await post(small, coding.rawValue).status == .ok)
        #expect(try await post(small, coding.rawValue, limit: 59_999).status == .contentTooLarge)
    }

    @Test func `A compressed body obeys the limit of its route, larger or smaller than the default`() async throws {
        let noise = String((0..<3_000_000).map { _ in Character(UnicodeScalar(UInt8.random(in: 33...126))) })
        func post(_ text: String, limit: Int) async throws -> HTTPResponse.Status {
            let body = RequestBody(try compressed(text))
            let routes = Routes()
            routes.post("", RawBody()) { "\($0.readableBytes)" }.bodyLimit(limit)
            let router = try Router(routes)
            let request = Request(method: .post, target: "/", headers: [.contentEncoding: "gzip"], body: body)
            return await answer(request, behind: Decompression()) { await router.respond(to: $0) }.status
        }
        #expect(try await post(noise, limit: 4 << 20) == .ok)
        #expect(try await post(noise, limit: 2 << 20) == .contentTooLarge)
        #expect(try await post("hello", limit: 5) == .ok)
        #expect(try await post("hello", limit: 4) == .contentTooLarge)
    }

    @Test func `A 304 has the Vary and the tag of the 200 that it stands for`() async throws {
        for text in [Self.long, "short"] {
            func ask(_ tag: String?) async -> Response {
                var headers: RequestHeaders = [.acceptEncoding: "gzip"]
                headers[.ifNoneMatch] = tag
                return await answer(
                    Request(method: .get, target: "/", headers: headers), behind: Compression(), EntityTags()
                ) { _ in .text(text) }
            }
            let whole = await ask(nil)
            let tag = try #require(whole.headers[.eTag])
            let spared = await ask(tag)
            #expect(spared.status == .notModified)
            #expect(spared.headers[.eTag] == tag)
            #expect(spared.headers[.vary] == whole.headers[.vary])
            #expect(spared.headers[.contentEncoding] == nil && spared.headers[.contentType] == nil)
        }
    }
}
