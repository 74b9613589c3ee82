import ApusCore
public import HTTPTypes
import NIOCore

/// A request as middleware and handlers see it, whichever protocol brought it.
public struct Request: Sendable {
    /// All of it behind one reference, copied when it is changed: a request is handed on more often than that.
    ///
    /// `@unchecked Sendable`: written only while nobody else refers to it.
    private final class Storage: @unchecked Sendable {
        var method: HTTPRequest.Method
        let target: String
        var authority: String?
        @exclusivity(unchecked) var headers: RequestHeaders
        @exclusivity(unchecked) var body: RequestBody
        var remoteAddress: String?
        var isSecure: Bool
        let context: RequestContext

        init(
            method: HTTPRequest.Method, target: String, authority: String?, headers: RequestHeaders, body: RequestBody,
            remoteAddress: String?, isSecure: Bool, context: RequestContext
        ) {
            self.method = method
            self.target = target
            self.authority = authority
            self.headers = headers
            self.body = body
            self.remoteAddress = remoteAddress
            self.isSecure = isSecure
            self.context = context
        }

        func copy() -> Storage {
            Storage(
                method: method, target: target, authority: authority, headers: headers, body: body,
                remoteAddress: remoteAddress, isSecure: isSecure, context: context)
        }
    }

    private var storage: Storage

    /// - Parameters:
    ///   - target: The path and, after a `?`, the query, percent-encoded.
    ///   - authority: The host and port, where `Host` does not say them.
    ///   - isSecure: Whether it came over TLS.
    public init(
        method: HTTPRequest.Method,
        target: String,
        authority: String? = nil,
        headers: RequestHeaders = [:],
        body: RequestBody = .empty,
        remoteAddress: String? = nil,
        isSecure: Bool = false,
        context: RequestContext = RequestContext()
    ) {
        storage = Storage(
            method: method, target: target, authority: authority, headers: headers, body: body,
            remoteAddress: remoteAddress, isSecure: isSecure, context: context)
    }

    private mutating func makeUnique() {
        if !isKnownUniquelyReferenced(&storage) { storage = storage.copy() }
    }

    /// The method, such as `GET`.
    public var method: HTTPRequest.Method {
        get { storage.method }
        set {
            makeUnique()
            storage.method = newValue
        }
    }

    /// The request target as it was sent: the path and, after a `?`, the query. Nothing is decoded.
    public var target: String { storage.target }

    /// The host and port that the client asked for: of `:authority`, of a target in absolute form, or of `Host`; what a
    /// trusted proxy says comes first.
    public internal(set) var authority: String? {
        get { storage.authority ?? headers[.host] }
        set {
            makeUnique()
            storage.authority = newValue
        }
    }

    /// Whether the client came over TLS: to this server, or to a trusted proxy before it.
    public internal(set) var isSecure: Bool {
        get { storage.isSecure }
        set {
            makeUnique()
            storage.isSecure = newValue
        }
    }

    /// The header fields, in the order in which they came.
    public var headers: RequestHeaders {
        get { storage.headers }
        set {
            makeUnique()
            storage.headers = newValue
        }
    }

    /// What follows the header.
    public var body: RequestBody {
        get { storage.body }
        set {
            makeUnique()
            storage.body = newValue
        }
    }

    /// What is known of this request, filled in on its way through the middleware and shared by all of it.
    public var context: RequestContext { storage.context }

    /// The address of the client, without its port; `nil` when there is none (tests, Unix sockets). That of the connection's
    /// peer, unless trusted proxies are before the server: see ``TrustedProxies``.
    public internal(set) var remoteAddress: String? {
        get { storage.remoteAddress }
        set {
            makeUnique()
            storage.remoteAddress = newValue
        }
    }

    /// The values of the route's `:name` segments, percent-decoded.
    public var parameters: PathParameters { context.parameters }

    /// The target up to the `?`, still percent-encoded.
    public var path: Substring {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return target[...] }
        return target[..<mark]
    }

    /// What follows the `?`, still percent-encoded; `nil` without one.
    public var rawQuery: Substring? {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        return target[target.utf8.index(after: mark)...]
    }

    /// The decoded values of a query parameter, in the order in which they came.
    /// - Throws: An ``AppError`` of code `invalidArgument` when the query is not valid percent-encoding.
    public func queryValues(_ name: String) throws -> [String] {
        try queryItems().compactMap { $0.name.isExactly(name) ? $0.value : nil }
    }

    /// All parameters of the query, decoded, in the order in which they came.
    /// - Throws: An ``AppError`` of code `invalidArgument` when the query is not valid percent-encoding.
    package func queryItems() throws -> [(name: String, value: String)] {
        try rawQuery.map { try URLEncodedPairs.read($0, of: "query") } ?? []
    }

    /// The segments of the path as they came; without an empty one at the end.
    package var rawPathSegments: [Substring] {
        var parts = Substring(path.utf8.dropFirst()).split(at: "/", omittingEmpty: false)
        if parts.last?.isEmpty == true { parts.removeLast() }
        return parts
    }
}

extension Request {
    /// The value of a cookie, without the quotes that may stand around it (RFC 6265 §4.1.1). Of several of one name the
    /// first counts, which is the one of the longest path.
    public func cookie(_ name: String) -> String? { cookies(name).first }

    /// The values of all cookies of a name, in the order in which they came.
    func cookies(_ name: String) -> [String] {
        guard let field = headers[.cookie] else { return [] }
        var values: [String] = []
        for pair in field.utf8.split(separator: UInt8(ascii: ";")) {
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let blanks = [UInt8(ascii: " "), UInt8(ascii: "\t")]
            guard pair[..<equals].drop(while: blanks.contains).elementsEqual(name.utf8) else { continue }
            var value = pair[pair.index(after: equals)...]
            while let last = value.last, blanks.contains(last) { value.removeLast() }
            let quote = UInt8(ascii: "\"")
            if value.count >= 2, value.first == quote, value.last == quote { value = value.dropFirst().dropLast() }
            values.append(String(decoding: value, as: UTF8.self))
        }
        return values
    }
}

extension HTTPField.Name {
    static let host = HTTPField.Name("Host")!
}
