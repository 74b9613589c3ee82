import ApusCore
import ApusHTTP
import HTTPTypes
import NIOHPACK

/// The head of an HTTP/2 request (RFC 9113 §8.3), validated and parsed in one pass.
struct HTTP2RequestHead {
    enum Problem: Error {
        /// The request violates the protocol; its stream is reset.
        case malformed
        /// The request is answered with an error.
        case refused(AppError, HTTPResponse.Status)

        static func refused(_ error: RequestError) -> Problem { .refused(error.appError, error.status) }
    }

    let method: HTTPRequest.Method
    let target: String
    let authority: String?
    let headers: RequestHeaders
    /// The protocol of an extended CONNECT request (RFC 8441), such as `websocket`.
    let connectProtocol: String?
    /// The declared length of the body.
    let contentLength: Int?
    /// Whether the client waits for 100 before it sends the body (RFC 9110 §10.1.1).
    let expectsContinue: Bool

    /// - Parameter table: Memory for the fields, which is reused for each request.
    init(_ block: HPACKHeaders, limits: ServerLimits, _ table: inout FieldTable) throws(Problem) {
        var pseudo = PseudoFields()
        table.removeAll()
        var contentLength: Int?
        var host: String?
        var expectsContinue = false
        for (name, value, _) in block {
            if name.utf8.first == .colon {
                // Pseudo-header fields come first.
                guard table.count == 0 else { throw .malformed }
                try pseudo.record(name, value)
                continue
            }
            guard HTTP2Field.isValid(name: name, value: value) else { throw .malformed }
            switch name.utf8.count {
            case 14 where name == "content-length":
                guard contentLength == nil, let length = ContentLength.parse(value) else { throw .malformed }
                contentLength = length
            case 4 where name == "host":
                guard host == nil else { throw .malformed }
                host = value
            case 6 where name == "expect":
                guard value.asciiLowercased.isExactly("100-continue") else { throw .refused(.unknownExpectation) }
                expectsContinue = true
            default: break
            }
            table.append(name, value)
        }
        guard table.count <= limits.headFields else {
            throw .refused(.tooManyFields(limit: limits.headFields))
        }
        try pseudo.validate()
        if let host {
            guard !host.isEmpty, pseudo.authority.map({ pseudo.isSameAuthority($0, host) }) != false else {
                throw .malformed
            }
        }
        guard let method = HTTPRequest.Method(pseudo.method ?? "") else {
            throw .refused(AppError(.invalidArgument, "The method must be a token, such as GET."), .badRequest)
        }
        // A CONNECT request without a path asks a proxy for a tunnel.
        guard let path = pseudo.path else { throw .refused(.tunnelRefused) }
        guard pseudo.hasHTTPScheme else { throw .refused(.unsupportedTarget) }
        guard path.utf8.first == UInt8(ascii: "/") || (path == "*" && method == .options),
            path.utf8.allSatisfy({ $0 > .space && $0 < 0x7F && $0 != UInt8(ascii: "#") })
        else { throw .refused(.unsupportedTarget) }
        guard let authority = pseudo.authority ?? host, authority.utf8.span.isAuthority else {
            throw .refused(.malformedHost)
        }
        // Routes see an extended CONNECT as a GET, which is what a WebSocket handshake is in HTTP/1.1.
        self.method = pseudo.protocol == nil ? method : .get
        connectProtocol = pseudo.protocol
        target = path
        self.authority = authority
        self.contentLength = contentLength
        self.expectsContinue = expectsContinue
        headers = table.headers()
    }

    private struct PseudoFields {
        var method: String?
        var scheme: String?
        var path: String?
        var authority: String?
        var `protocol`: String?

        /// Records a pseudo-header field. Each may occur only once, and no others are allowed.
        mutating func record(_ name: String, _ value: String) throws(Problem) {
            switch name {
            case ":method": try Self.set(&method, value)
            case ":scheme": try Self.set(&scheme, value)
            case ":path": try Self.set(&path, value)
            case ":authority": try Self.set(&authority, value)
            case ":protocol": try Self.set(&`protocol`, value)
            default: throw .malformed
            }
        }

        private static func set(_ field: inout String?, _ value: String) throws(Problem) {
            guard field == nil else { throw .malformed }
            field = value
        }

        var hasHTTPScheme: Bool {
            switch scheme {
            case "http", "https": true
            default: ["http", "https"].contains(scheme?.asciiLowercased)
            }
        }

        /// Returns whether `:authority` and `Host` do not contradict each other (RFC 9113 §8.3.1). Hosts have no case, and
        /// the default port may be omitted.
        func isSameAuthority(_ authority: String, _ host: String) -> Bool {
            authority.isExactly(host) || normalized(authority).isExactly(normalized(host))
        }

        private func normalized(_ authority: String) -> String {
            let text = authority.asciiLowercased
            let port = scheme?.asciiLowercased == "https" ? ":443" : ":80"
            return text.ends(withBytesOf: port) ? String(Substring(text.utf8.dropLast(port.utf8.count))) : text
        }

        /// Checks that the required fields are present and not empty (RFC 9113 §8.3.1, §8.5; RFC 8441 §4).
        func validate() throws(Problem) {
            guard let method, scheme?.isEmpty != true, authority?.isEmpty != true else { throw .malformed }
            if method == "CONNECT", `protocol` == nil {
                guard scheme == nil, path == nil, authority != nil else { throw .malformed }
            } else {
                guard scheme != nil, path?.isEmpty == false, `protocol` == nil || method == "CONNECT" else {
                    throw .malformed
                }
            }
        }
    }
}

/// Collects fields one by one.
struct FieldTable {
    private var entries: [FieldBytes.Entry] = []
    private var bytes: [UInt8] = []

    var count: Int { entries.count }

    mutating func removeAll() {
        entries.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    mutating func append(_ name: String, _ value: String) {
        let start = bytes.count
        bytes.append(contentsOf: name.utf8)
        let middle = bytes.count
        bytes.append(contentsOf: value.utf8)
        entries.append(FieldBytes.Entry(name: start..<middle, value: middle..<bytes.count))
    }

    func headers() -> RequestHeaders {
        guard !entries.isEmpty else { return RequestHeaders() }
        return entries.withUnsafeBufferPointer { entries in
            bytes.withUnsafeBytes { RequestHeaders(FieldBytes(copying: entries, in: $0)) }
        }
    }
}

extension HPACKHeaders {
    /// Creates the header of a response (RFC 9113 §8.3.2). Connection-specific fields are omitted, as HTTP/2 demands.
    init(_ status: HTTPResponse.Status, _ fields: HTTPFields, contentLength: Int?, date: String) {
        // As pairs, because `add` checks every byte of the name each time.
        var pairs: [(String, String)] = []
        pairs.reserveCapacity(fields.count + 3)
        pairs.append((":status", status.code == 200 ? "200" : String(status.code)))
        for field in fields where field.name.isAllowedInHTTP2 && !field.isSecret {
            pairs.append((field.name.canonicalName, field.value))
        }
        if let contentLength { pairs.append(("content-length", String(contentLength))) }
        pairs.append(("date", date))
        self.init(pairs)
        // Secrets stay out of the compression table, where they could be found by guessing (RFC 7541 §7.1).
        for field in fields where field.isSecret {
            add(name: field.name.canonicalName, value: field.value, indexing: .neverIndexed)
        }
    }

    /// Creates trailers.
    init(trailers: HTTPFields) {
        self.init()
        for field in trailers where field.name.isAllowedInTrailers {
            add(
                name: field.name.canonicalName, value: field.value,
                indexing: field.isSecret ? .neverIndexed : .indexable)
        }
    }

    /// The fields as the trailers of a request; `nil` if they are malformed (RFC 9113 §8.1).
    var trailers: HTTPFields? {
        var fields = HTTPFields()
        for (name, value, _) in self {
            guard HTTP2Field.isValid(name: name, value: value), let name = HTTPField.Name(name) else { return nil }
            fields.append(HTTPField(name: name, value: value))
        }
        return fields
    }
}

extension HTTPField {
    fileprivate var isSecret: Bool { name == .setCookie || name == .authorization }
}

extension HTTPField.Name {
    fileprivate var isAllowedInHTTP2: Bool {
        switch canonicalName {
        case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length", "date":
            false
        default: true
        }
    }
}
