import ApusHTTP
import HTTPTypes
import NIOCore
import Testing

@testable import ApusServer

/// The result of parsing a request, with the pieces of its body joined.
private enum Outcome: Equatable {
    case request(HTTPRequest.Method, String, HTTPFields, body: String)
    case failure(RequestError)
    case incomplete
}

private func parse(_ pieces: [String], maxHead: Int = 16 << 10, maxFields: Int = 100) -> [Outcome] {
    var parser = HTTP1Parser(maxHeadBytes: maxHead, maxHeadFields: maxFields)
    var outcomes: [Outcome] = []
    var current: (RequestHead, String)?
    for piece in pieces {
        parser.append(ByteBuffer(string: piece))
        reading: while true {
            do {
                switch try parser.next() {
                case .head(let head): current = (head, "")
                case .body(let bytes): current?.1 += String(buffer: bytes)
                case .end:
                    if let (head, body) = current {
                        outcomes.append(.request(head.method, head.target, head.headers.fields, body: body))
                    }
                    current = nil
                case .needsMore: break reading
                }
            } catch {
                return outcomes + [.failure(error)]
            }
        }
    }
    if current != nil || parser.bufferedBytes > 0 { outcomes.append(.incomplete) }
    return outcomes
}

@Suite struct HTTP1ParserTests {
    private static let samples = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET /a?b=c HTTP/1.1\r\nHost: a\r\nX-One:  two \t\r\n\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /c HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n, big worl\r\n1\r\nd\r\n0\r\nTrailer: x\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://example.org:80/abs?x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
    ]

    @Test(arguments: samples) func `The result of parsing does not depend on how the bytes are split`(text: String) {
        let whole = parse([text])
        #expect(parse(text.utf8.map { String(UnicodeScalar($0)) }) == whole)
        let bytes = Array(text.utf8)
        for split in 1..<bytes.count {
            let pieces = [bytes[..<split], bytes[split...]].map { String(decoding: $0, as: UTF8.self) }
            #expect(parse(pieces) == whole, "split at \(split)")
        }
    }

    @Test func `Pipelined requests, bodies and fields are parsed`() {
        let outcomes = parse([Self.samples[1]])
        #expect(
            outcomes == [
                .request(.get, "/a?b=c", [.init("Host")!: "a", .init("X-One")!: "two"], body: ""),
                .request(.post, "/b", [.init("Host")!: "a", .contentLength: "5"], body: "hello"),
                .request(.get, "/c", [.init("Host")!: "a"], body: ""),
            ])
        guard case .request(_, _, _, let body)? = parse([Self.samples[2]]).first else {
            Issue.record("No request was parsed."); return
        }
        #expect(body == "hello, big world")
        guard case .request(_, let target, _, _)? = parse([Self.samples[3]]).first else {
            Issue.record("No request was parsed."); return
        }
        #expect(target == "/abs?x")
    }

    /// Each must be rejected with exactly this error, at the latest after its last byte.
    @Test(arguments: [
        ("GET /\r\n\r\n", RequestError.malformedRequestLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .malformedRequestLine),
        ("GET /\u{7F} HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
        ("GET /é HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
        ("\u{16}\u{03}\u{01}", .malformedRequestLine),
        ("\n", .bareLineFeed),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", .unsupportedVersion),
        ("GET / HTTP/1.1\nHost: a\n\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\n\r\n", .missingHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", .missingHost),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", .malformedField),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", .malformedField),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", .malformedField),
        ("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n", .malformedField),
        ("GET / HTTP/1.1\r\nHost: a\r\n:path: /x\r\n\r\n", .malformedField),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\n\r\n", .malformedField),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", .malformedField),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", .unsupportedTarget),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", .tunnelRefused),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .unsupportedTarget),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", .conflictingLengths),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", .conflictingLengths),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", .malformedContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", .malformedContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", .malformedContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", .malformedContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", .malformedContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .unsupportedTransferCoding),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            .unsupportedTransferCoding
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", .unsupportedTransferCoding),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", .unsupportedTransferCoding),
    ])
    func `A malformed or ambiguous request is rejected`(text: String, error: RequestError) {
        #expect(parse([text]) == [.failure(error)])
        #expect(parse(text.utf8.map { String(decoding: [$0], as: UTF8.self) }).count == 1)
    }

    @Test(arguments: HTTP2RequestHeadTests.hosts)
    func `A malformed host is rejected, in the field and in the target`(host: String, isValid: Bool) {
        let field = parse(["GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n"])
        #expect((field == [.failure(.malformedHost)]) != isValid)
        let target = parse(["GET http://\(host)/ HTTP/1.1\r\nHost: a\r\n\r\n"])
        switch target.first {
        // After some delimiters, the rest is not part of the host, or the request line is malformed.
        case .failure: #expect(!isValid)
        default: #expect(isValid || host.utf8.contains { [UInt8(ascii: "/"), UInt8(ascii: "?")].contains($0) })
        }
    }

    @Test func `An empty host is valid where the target has no authority`() {
        #expect(parse(["GET / HTTP/1.1\r\nHost:\r\n\r\n"]).count == 1)
        #expect(parse(["GET / HTTP/1.1\r\nHost:\r\n\r\n"]) != [.failure(.malformedHost)])
    }

    @Test(arguments: [
        "x\r\n", "\r\n", "-1\r\n", "+1\r\na\r\n", "0x1\r\na\r\n", "1 \r\na\r\n", "1\na\r\n", "1\r\nab\r\n",
        "1\r\na\n0\r\n\r\n",
        "fffffffffffffffff\r\n", ";x\r\n", "1\r\na\r\nzz\r\n",
    ])
    func `A malformed chunk is rejected`(body: String) {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(parse([head + body]).last == .failure(.malformedChunk), "\(body.debugDescription)")
    }

    @Test func `Endless chunk size lines and endless trailers are rejected`() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        let noise = String(repeating: "x", count: 5000)
        #expect(parse([head + "1;" + noise]).last == .failure(.malformedChunk))
        let trailers = String(repeating: "X: \(noise.prefix(1000))\r\n", count: 6)
        #expect(parse([head + "0\r\n" + trailers]).last == .failure(.malformedChunk))
    }

    @Test(arguments: [-1, 0, 1]) func `The limit on the size of the head is exact`(difference: Int) {
        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".utf8.count
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 512 - frame + difference))\r\n\r\n"
        #expect((parse([text], maxHead: 512).first == .failure(.headTooLarge(limit: 512))) == (difference > 0))
    }

    @Test(arguments: [-1, 0, 1]) func `The limit on the number of fields is exact`(difference: Int) {
        let fields = (1..<(10 + difference)).map { "X\($0): y\r\n" }.joined()
        let outcome = parse(["GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"], maxFields: 10).first
        #expect((outcome == .failure(.tooManyFields(limit: 10))) == (difference > 0))
    }

    @Test func `A head without an end is rejected at the limit, not before`() {
        let start = "GET /" + String(repeating: "a", count: 507)
        #expect(parse([start], maxHead: 512) == [.incomplete])
        #expect(parse([start, "a"], maxHead: 512) == [.failure(.headTooLarge(limit: 512))])
    }

    @Test func `Mutated requests never crash the parser and never yield a line break in a field`() async {
        var generator = SeededGenerator(state: 0x5EED)
        for round in 0..<20_000 {
            if round % 1000 == 0 { await Task.yield() }
            var bytes = Array(Self.samples[round % Self.samples.count].utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: .min ... .max, using: &generator)
                case 1: bytes.remove(at: index)
                default: bytes.insert([0x0D, 0x0A, 0x20, 0x3A, 0x30].randomElement(using: &generator)!, at: index)
                }
                if bytes.isEmpty { break }
            }
            for case .request(_, let target, let headers, _) in parse([String(decoding: bytes, as: UTF8.self)]) {
                #expect(target.utf8.allSatisfy { $0 > 0x20 })
                for field in headers { #expect(!field.value.utf8.contains { $0 == 0x0A || $0 == 0x0D || $0 == 0 }) }
            }
        }
    }
}

/// Generates the same numbers in every run (SplitMix64).
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
