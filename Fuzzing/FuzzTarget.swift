import HTTPTypes
import ApusHTTP
import ApusJSON
import ApusServer
import ApusWebSocket
import FoundationEssentials
import NIOCore

/// What reads bytes of strangers. Each target takes any input without a crash, and checks what must hold of every one: what
/// does not hold ends the process, which is how a fuzzer is told.
enum FuzzTarget: String, CaseIterable {
    case http1, http2, json, proxy, websocket, target, multipart, fields

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
        }
    }

    // MARK: HTTP/1.1

    /// Any split of the same bytes gives the same requests. The first byte says where the split is.
    private static func fuzzHTTP1(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let split = bytes.isEmpty ? 0 : Int(first) % bytes.count
        let whole = requests(in: [ByteBuffer(bytes: bytes)])
        let halves = [ByteBuffer(bytes: bytes.prefix(split)), ByteBuffer(bytes: bytes.dropFirst(split))]
        precondition(requests(in: halves) == whole, "A split at \(split) is read in another way.")
    }

    private enum Event: Equatable {
        case head(RequestHead)
        case end(body: [UInt8], HTTPFields)
        case failure(HTTP1Error)
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
                        touch(head)
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

    /// Fields are read when they are asked for: ask.
    private static func touch(_ head: RequestHead) {
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

    /// What is read and written again is the same value.
    private static func fuzzJSON(_ input: UnsafeRawBufferPointer) {
        var decoder = JSON.Decoder()
        // `Value` tries one type after the other on each level, which is exponential in the depth for what fits none.
        decoder.limits.depth = 8
        _ = try? decoder.decode(Record.self, from: input)
        guard let value = try? decoder.decode(Value.self, from: input) else { return }
        do {
            let bytes = try JSON.Encoder().encode(value)
            let again = try decoder.decode(Value.self, from: bytes)
            precondition(again == value, "Written and read again it is another.")
        } catch {
            preconditionFailure("What was read cannot be written: \(error)")
        }
    }

    // MARK: Others

    private static func fuzzProxyHeader(_ input: UnsafeRawBufferPointer) {
        var buffer = ByteBuffer(bytes: input)
        let outcome = ProxyHeader.read(from: &buffer)
        guard case .incomplete = outcome else { return }
        precondition(buffer.readableBytes == input.count, "Nothing is taken before the header is whole.")
        precondition(input.count < 4096, "A header has an end.")
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

    /// A request target, with its path and query decoded.
    private static func fuzzTarget(_ input: UnsafeRawBufferPointer) {
        let request = Request(method: .get, target: String(decoding: input, as: UTF8.self))
        _ = request.path
        _ = try? request.queryValues("a")
    }

    // MARK: Forms and fields

    /// Any split of the same bytes gives the same parts. The first byte says where the split is.
    private static func fuzzMultipart(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let split = bytes.isEmpty ? 0 : Int(first) % bytes.count
        let whole = parts(in: [ByteBuffer(bytes: bytes)])
        let halves = [ByteBuffer(bytes: bytes.prefix(split)), ByteBuffer(bytes: bytes.dropFirst(split))]
        precondition(parts(in: halves) == whole, "A split at \(split) is read in another way.")
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

    /// The values of fields that are taken apart, and a form.
    private static func fuzzFields(_ input: UnsafeRawBufferPointer) {
        let text = String(decoding: input, as: UTF8.self)
        _ = MediaType(text)
        _ = HTTPDate.parse(text)
        _ = EntityTag(parsing: text)
        _ = TrustedProxies.forwarded(text)
        _ = TrustedProxies.xForwarded(text, text, text)
        _ = try? FormFields(urlEncoded: text)
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
