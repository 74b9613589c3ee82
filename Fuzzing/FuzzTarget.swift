import HTTPTypes
import ApusHTTP
import ApusJSON
import ApusServer
import ApusWebSocket
import FoundationEssentials
import NIOCore

/// A parser of untrusted input. Each target must accept any input without crashing. It checks invariants with
/// preconditions, whose failure ends the process and is thereby reported to the fuzzer.
enum FuzzTarget: String, CaseIterable {
    case http1, http2, json, proxy, websocket, target, multipart, fields, resp

    func run(_ input: UnsafeRawBufferPointer) {
        switch self {
        case .http1: Self.fuzzHTTP1(input)
        case .http2: Self.fuzzHTTP2(input)
        case .json: Self.fuzzJSON(input)
        case .proxy: Self.fuzzProxyHeader(input)
        case .websocket: Self.fuzzWebSocket(input)
        case .target: Self.fuzzTarget(input)
        case .multipart: Self.fuzzMultipart(input)
        case .fields: Self.fuzzFields(input)
        case .resp: Self.fuzzRESP(input)
        }
    }

    // MARK: HTTP/1.1

    /// The bytes yield the same requests wherever they are split. The first byte determines the split.
    private static func fuzzHTTP1(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let split = bytes.isEmpty ? 0 : Int(first) % bytes.count
        let whole = requests(in: [ByteBuffer(bytes: bytes)])
        let halves = [ByteBuffer(bytes: bytes.prefix(split)), ByteBuffer(bytes: bytes.dropFirst(split))]
        precondition(requests(in: halves) == whole, "A split at \(split) changes the result.")
    }

    private enum Event: Equatable {
        case head(RequestHead)
        case end(body: [UInt8], HTTPFields)
        case failure(RequestError)
    }

    private static func requests(in pieces: [ByteBuffer]) -> [Event] {
        var parser = HTTP1Parser(maxHeadBytes: 1024, maxHeadFields: 20)
        var events: [Event] = []
        var body: [UInt8] = []
        var total = 0
        for piece in pieces {
            parser.append(piece)
            total += piece.readableBytes
            reading: while true {
                do {
                    switch try parser.next() {
                    case .head(let head):
                        readFields(of: head)
                        events.append(.head(head))
                    case .body(let bytes): body += bytes.readableBytesView
                    case .end(let trailers):
                        events.append(.end(body: body, trailers))
                        body = []
                    case .needsMore: break reading
                    }
                } catch {
                    return events + [.failure(error)]
                }
            }
            precondition(parser.bufferedBytes <= total)
        }
        return events
    }

    /// Reads fields, because they are parsed lazily.
    private static func readFields(of head: RequestHead) {
        for field in head.headers.fields { precondition(!field.name.rawName.isEmpty) }
        _ = head.headers[.cookie]
        _ = head.headers[values: .accept]
    }

    // MARK: JSON

    private enum Value: Codable, Equatable {
        case null
        case bool(Bool)
        case number(Double)
        case string(String)
        case array([Value])
        case object([String: Value])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let bool = try? container.decode(Bool.self) {
                self = .bool(bool)
            } else if let number = try? container.decode(Double.self) {
                self = .number(number)
            } else if let string = try? container.decode(String.self) {
                self = .string(string)
            } else if let array = try? container.decode([Value].self) {
                self = .array(array)
            } else {
                self = .object(try container.decode([String: Value].self))
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .null: try container.encodeNil()
            case .bool(let bool): try container.encode(bool)
            case .number(let number): try container.encode(number)
            case .string(let string): try container.encode(string)
            case .array(let array): try container.encode(array)
            case .object(let object): try container.encode(object)
            }
        }
    }

    private struct Record: Codable {
        var id: Int?
        var name: String?
        var at: Date?
        var tags: [String]?
        var scores: [Double]?
        var next: [Record]?
    }

    /// A decoded value round-trips through the encoder.
    private static func fuzzJSON(_ input: UnsafeRawBufferPointer) {
        var decoder = JSON.Decoder()
        // `Value` tries one type after another at each level, which takes exponential time in the depth if none
        // matches.
        decoder.limits.depth = 8
        _ = try? decoder.decode(Record.self, from: input)
        guard let value = try? decoder.decode(Value.self, from: input) else { return }
        do {
            let bytes = try JSON.Encoder().encode(value)
            let again = try decoder.decode(Value.self, from: bytes)
            precondition(again == value, "The value changed in a round trip.")
        } catch {
            preconditionFailure("A decoded value could not be round-tripped: \(error)")
        }
    }

    // MARK: Others

    private static func fuzzProxyHeader(_ input: UnsafeRawBufferPointer) {
        var buffer = ByteBuffer(bytes: input)
        let outcome = ProxyHeader.read(from: &buffer)
        guard case .incomplete = outcome else { return }
        precondition(buffer.readableBytes == input.count, "An incomplete header must not be consumed.")
        precondition(input.count < 4096, "The size of a header must be limited.")
    }

    private static func fuzzWebSocket(_ input: UnsafeRawBufferPointer) {
        let decoder = FrameDecoder(maxPayload: 4096)
        var buffer = ByteBuffer(bytes: input)
        while true {
            let before = buffer.readableBytes
            guard let frame = try? decoder.next(&buffer) else { return }
            precondition(buffer.readableBytes < before)
            precondition(frame.payload.readableBytes <= 4096)
        }
    }

    /// Decodes the path and query of a request target.
    private static func fuzzTarget(_ input: UnsafeRawBufferPointer) {
        let target = String(decoding: input, as: UTF8.self)
        let request = Request(method: .get, target: target)
        _ = request.path
        _ = try? request.queryValues("a")
        checkQuery(target)
    }

    // MARK: Forms and fields

    /// The bytes yield the same parts wherever they are split. The first byte determines the split.
    private static func fuzzMultipart(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let split = bytes.isEmpty ? 0 : Int(first) % bytes.count
        let whole = parts(in: [ByteBuffer(bytes: bytes)])
        let halves = [ByteBuffer(bytes: bytes.prefix(split)), ByteBuffer(bytes: bytes.dropFirst(split))]
        precondition(parts(in: halves) == whole, "A split at \(split) changes the result.")
    }

    private static func parts(in pieces: [ByteBuffer]) -> [String] {
        guard var parser = try? MultipartParser(boundary: "x") else { return [] }
        var events: [String] = []
        var content: ByteBuffer?
        do {
            for piece in pieces {
                parser.append(piece)
                while let event = try parser.next() {
                    switch event {
                    case .part(let fields):
                        events.append("\(fields)")
                        content = ByteBuffer()
                    case .bytes(let bytes): content?.writeImmutableBuffer(bytes)
                    case .end:
                        events.append("\(content?.hexDump(format: .compact) ?? "")")
                        content = nil
                    case .finished: events.append("finished")
                    }
                }
            }
            try parser.finish()
        } catch {
            events.append("\(error)")
        }
        return events
    }

    /// Parses field values and a URL-encoded form.
    private static func fuzzFields(_ input: UnsafeRawBufferPointer) {
        let text = String(decoding: input, as: UTF8.self)
        _ = MediaType(text)
        _ = HTTPDate.parse(text)
        _ = EntityTag(parsing: text)
        _ = TrustedProxies.forwarded(text)
        _ = TrustedProxies.xForwarded(text, text, text)
        _ = try? FormFields(urlEncoded: text)
        checkQuery(text)
        checkCookie(text)
        if case .some(let ranges) = ByteRanges(text, size: 100) {
            for range in ranges { precondition(!range.isEmpty && range.lowerBound >= 0 && range.upperBound <= 100) }
        }
        guard HTTPField.isValidValue(text) else { return }
        let request = Request(
            method: .get, target: "/", headers: [.accept: text, .cookie: text, .acceptEncoding: text])
        _ = request.preferredType(of: "text/html", "application/json")
        _ = request.cookie("a")
    }
}
