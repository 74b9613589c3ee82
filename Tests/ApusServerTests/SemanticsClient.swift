import ApusTesting
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOSSL

/// How requests reach the server: each must mean the same.
enum Wire: String, CaseIterable, Sendable {
    case http1, http2, http1OverTLS, http2OverTLS

    var isHTTP2: Bool { self == .http2 || self == .http2OverTLS }
    var isEncrypted: Bool { self == .http1OverTLS || self == .http2OverTLS }
}

/// One exchange as a client sees it, whatever the version of HTTP.
struct Exchange {
    /// Statuses before the final one, such as 100.
    var informational: [Int] = []
    /// The final status; 0 if the server sent none.
    var status = 0
    /// By lower-case name.
    var headers: [String: String] = [:]
    var body = ""
    var trailers: [String: String] = [:]
}

/// The body of a request.
enum OutgoingBody {
    case none
    /// With its length declared.
    case declared(String)
    /// Without a declared length, in pieces, with trailers.
    case streamed([String], trailers: [String: String] = [:])
    /// Declared as longer than it is.
    case short(String, declared: Int)
    /// Declared, and sent only when the server asks for it with 100.
    case awaitingContinue(String)
    /// Declared and never sent.
    case withheld(Int)
}

/// Sends one request per connection over any wire.
struct SemanticsClient {
    let wire: Wire
    let port: Int
    let tls: NIOSSLContext

    func send(
        _ method: String, _ path: String, _ fields: [(String, String)] = [], _ body: OutgoingBody = .none
    ) async throws -> Exchange {
        wire.isHTTP2
            ? try await sendHTTP2(method, path, fields, body) : try await sendHTTP1(method, path, fields, body)
    }

    private var tlsHandler: (@Sendable (any Channel) throws -> Void)? {
        guard wire.isEncrypted else { return nil }
        return { [tls] channel in
            try channel.pipeline.syncOperations.addHandler(
                NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
        }
    }

    private static func fields(_ body: OutgoingBody) -> [(String, String)] {
        switch body {
        case .none, .streamed: []
        case .declared(let text): [("content-length", "\(text.utf8.count)")]
        case .short(_, let length), .withheld(let length): [("content-length", "\(length)")]
        case .awaitingContinue(let text): [("content-length", "\(text.utf8.count)"), ("expect", "100-continue")]
        }
    }

    // MARK: HTTP/1.1

    private func sendHTTP1(
        _ method: String, _ path: String, _ fields: [(String, String)], _ body: OutgoingBody
    ) async throws -> Exchange {
        let connection = try await RawConnection.connect(
            SocketAddress(ipAddress: "127.0.0.1", port: port), prepare: tlsHandler ?? { _ in })
        var all = [("host", "a"), ("connection", "close")] + fields + Self.fields(body)
        if case .streamed = body { all.append(("transfer-encoding", "chunked")) }
        let head = all.map { "\($0): \($1)\r\n" }.joined()
        try await connection.write("\(method) \(path) HTTP/1.1\r\n\(head)\r\n")
        var received = ""
        // Writes fail once the server has answered early and closed; what it said is read all the same.
        switch body {
        case .none, .withheld: break
        case .declared(let text): try? await connection.write(text)
        case .short(let text, _):
            try? await connection.write(text)
            try? await connection.closeOutput()
        case .streamed(let pieces, let trailers):
            for piece in pieces {
                try? await connection.write("\(String(piece.utf8.count, radix: 16))\r\n\(piece)\r\n")
            }
            let fields = trailers.map { "\($0.key): \($0.value)\r\n" }.joined()
            try? await connection.write("0\r\n\(fields)\r\n")
        case .awaitingContinue(let text):
            received = try await connection.read(until: "\r\n\r\n")
            if received.hasPrefix("HTTP/1.1 100 ") { try? await connection.write(text) }
        }
        received += try await connection.readToEnd()
        return Self.parse(received, isHead: method == "HEAD")
    }

    private static func parse(_ text: String, isHead: Bool) -> Exchange {
        var exchange = Exchange()
        var rest = Array(text.utf8)[...]
        func line() -> String {
            var bytes: [UInt8] = []
            while let byte = rest.popFirst(), byte != UInt8(ascii: "\n") { bytes.append(byte) }
            return String(decoding: bytes.dropLast(bytes.last == UInt8(ascii: "\r") ? 1 : 0), as: UTF8.self)
        }
        func fields() -> [String: String] {
            var fields: [String: String] = [:]
            while !rest.isEmpty {
                let parts = line().split(separator: ":", maxSplits: 1).map(String.init)
                guard parts.count == 2 else { break }
                let name = parts[0].lowercased(), value = String(parts[1].drop { $0 == " " })
                fields[name] = fields[name].map { "\($0), \(value)" } ?? value
            }
            return fields
        }
        while !rest.isEmpty {
            let status = Int(line().split(separator: " ").dropFirst().first ?? "") ?? 0
            let headers = fields()
            guard status >= 200 else {
                exchange.informational.append(status)
                continue
            }
            (exchange.status, exchange.headers) = (status, headers)
            break
        }
        guard !isHead else { return exchange }
        guard exchange.headers["transfer-encoding"] == "chunked" else {
            exchange.body = String(decoding: rest, as: UTF8.self)
            return exchange
        }
        while let length = Int(line(), radix: 16), length > 0 {
            exchange.body += String(decoding: rest.prefix(length), as: UTF8.self)
            rest = rest.dropFirst(length + 2)
        }
        exchange.trailers = fields()
        return exchange
    }

    // MARK: HTTP/2

    private func sendHTTP2(
        _ method: String, _ path: String, _ fields: [(String, String)], _ body: OutgoingBody
    ) async throws -> Exchange {
        let client = try await HTTP2Client.connect(port: port, tlsHandler)
        let headers = HPACKHeaders(fields + Self.fields(body))
        var exchange = Exchange()
        switch body {
        case .none: try await client.request(1, method, path, headers)
        case .withheld: try await client.request(1, method, path, isEnd: false, headers)
        case .declared(let text), .short(let text, _):
            try await client.request(1, method, path, isEnd: false, headers)
            try? await client.body(1, text, isEnd: true)
        case .streamed(let pieces, let trailers):
            try await client.request(1, method, path, isEnd: false, headers)
            for piece in pieces { try? await client.body(1, piece, isEnd: false) }
            try? await client.send(
                1, .headers(.init(headers: HPACKHeaders(trailers.map { ($0, $1) }), endStream: true)))
        case .awaitingContinue: try await client.request(1, method, path, isEnd: false, headers)
        }
        var frames = client.iterator
        while let frame = await frames.next() {
            guard frame.streamID == 1 else { continue }
            var isEnd = false
            switch frame.payload {
            case .headers(let content):
                isEnd = content.endStream
                let status = content.headers.first(name: ":status").flatMap { Int($0) }
                let fields = content.headers.reduce(into: [String: String]()) { fields, field in
                    fields[field.name] = fields[field.name].map { "\($0), \(field.value)" } ?? field.value
                }
                if let status, status < 200 {
                    exchange.informational.append(status)
                    if case .awaitingContinue(let text) = body { try? await client.body(1, text, isEnd: true) }
                } else if let status {
                    (exchange.status, exchange.headers) = (status, fields)
                } else {
                    exchange.trailers = fields
                }
            case .data(let content):
                if case .byteBuffer(let bytes) = content.data { exchange.body += String(buffer: bytes) }
                isEnd = content.endStream
            case .rstStream: isEnd = true
            default: break
            }
            if isEnd { break }
        }
        try? await client.close()
        return exchange
    }
}
