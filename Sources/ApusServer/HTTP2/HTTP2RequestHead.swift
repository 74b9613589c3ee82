import ApusCore
import ApusHTTP
import HTTPTypes
import NIOHPACK

/// A request's header as HTTP/2 brings it (RFC 9113 §8.3). That its fields are well-formed and its pseudo-header fields
/// complete has been checked with the frame; what is read here is what they say.
struct HTTP2RequestHead {
    let method: HTTPRequest.Method
    let target: String
    let authority: String?
    let headers: RequestHeaders
    /// The protocol that an extended CONNECT asks for (RFC 8441), such as `websocket`.
    let connectProtocol: String?
    /// The announced length of the body.
    let contentLength: Int?

    /// - Throws: An `AppError` to answer with.
    init(_ block: HPACKHeaders, limits: ServerLimits) throws(AppError) {
        var pseudo = PseudoFields()
        var table = FieldTable()
        var contentLength: Int?
        var host: String?
        for (name, value, _) in block {
            if name.utf8.first == .colon {
                pseudo.note(name, value)
                continue
            }
            if name == "content-length" { contentLength = Int(value) }
            if name == "host" { host = value }
            table.append(name, value)
        }
        guard table.count <= limits.headFields else {
            throw HTTP1Error.tooManyFields(limit: limits.headFields).appError
        }
        guard let name = pseudo.method, let method = HTTPRequest.Method(name) else {
            throw AppError(.invalidArgument, "The method is not one.")
        }
        // An ordinary CONNECT has no path: it asks a proxy for a tunnel.
        guard let path = pseudo.path else { throw HTTP1Error.tunnelRefused.appError }
        guard path.utf8.first == UInt8(ascii: "/") || (path == "*" && method == .options),
            path.utf8.allSatisfy({ $0 > .space && $0 < 0x7F && $0 != UInt8(ascii: "#") })
        else { throw HTTP1Error.unsupportedTarget.appError }
        if let host, let authority = pseudo.authority, host != authority {
            throw AppError(.invalidArgument, "Host and :authority must be the same.")
        }
        guard let authority = pseudo.authority ?? host, authority.utf8.allSatisfy(\.isAuthority) else {
            throw HTTP1Error.malformedHost.appError
        }
        // What asks for a WebSocket is a GET in HTTP/1.1, and so it is to routes.
        self.method = pseudo.protocol == nil ? method : .get
        connectProtocol = pseudo.protocol
        target = path
        self.authority = authority
        self.contentLength = contentLength
        headers = table.headers()
    }

    private struct PseudoFields {
        var method: String?
        var path: String?
        var authority: String?
        var `protocol`: String?

        mutating func note(_ name: String, _ value: String) {
            switch name {
            case ":method": method = value
            case ":path": path = value
            case ":authority": authority = value
            case ":protocol": `protocol` = value
            default: break
            }
        }
    }
}

/// Gathers fields that came one by one.
private struct FieldTable {
    private var entries: [FieldBytes.Entry] = []
    private var bytes: [UInt8] = []

    var count: Int { entries.count }

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
    /// The fields of a response (RFC 9113 §8.3.2). Those about the connection are not HTTP/2's to send.
    init(_ status: HTTPResponse.Status, _ fields: HTTPFields, contentLength: Int?, date: String) {
        self.init()
        reserveCapacity(fields.count + 3)
        add(name: ":status", value: status.code == 200 ? "200" : String(status.code))
        for field in fields where field.name.isAllowedInHTTP2 { add(field) }
        if let contentLength { add(name: "content-length", value: String(contentLength)) }
        add(name: "date", value: date)
    }

    /// The fields after a body.
    init(trailers: HTTPFields) {
        self.init()
        for field in trailers where field.name.isAllowedInTrailers { add(field) }
    }

    /// The fields that came after a body, in the ecosystem's type.
    var trailers: HTTPFields {
        var fields = HTTPFields()
        for (name, value, _) in self {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        return fields
    }

    private mutating func add(_ field: HTTPField) {
        // Secrets stay out of the compression table, where guesses could be tried against them (RFC 7541 §7.1).
        let isSecret = field.name == .setCookie || field.name == .authorization
        add(
            name: field.name.canonicalName, value: field.value,
            indexing: isSecret ? .neverIndexed : .indexable)
    }
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
