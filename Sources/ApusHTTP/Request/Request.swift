import ApusCore
public import HTTPTypes
import NIOCore

/// A request as middleware and handlers see it, independent of the protocol.
public struct Request: Sendable {
    /// The properties behind a single reference, copied on write: a request is passed on more often than it is changed.
    ///
    /// `@unchecked Sendable`: written only while it is uniquely referenced.
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

    /// Creates a request.
    /// - Parameters:
    ///   - target: The path and, after a `?`, the query, percent-encoded.
    ///   - authority: The host and port; if `nil`, those of the `Host` field.
    ///   - isSecure: Whether the request was received over TLS.
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

    /// The request target as received: the path and, after a `?`, the query. Nothing is decoded.
    public var target: String { storage.target }

    /// The host and port that the client requested, from `:authority`, from a target in absolute form, or from `Host`.
    /// The value reported by a trusted proxy takes precedence.
    public internal(set) var authority: String? {
        get { storage.authority ?? headers[.host] }
        set {
            makeUnique()
            storage.authority = newValue
        }
    }

    /// Whether the client used TLS to connect to this server, or to a trusted proxy in front of it.
    public internal(set) var isSecure: Bool {
        get { storage.isSecure }
        set {
            makeUnique()
            storage.isSecure = newValue
        }
    }

    /// The header fields, in the order received.
    public var headers: RequestHeaders {
        get { storage.headers }
        set {
            makeUnique()
            storage.headers = newValue
        }
    }

    /// The body.
    public var body: RequestBody {
        get { storage.body }
        set {
            makeUnique()
            storage.body = newValue
        }
    }

    /// The context of the request, which is filled in by middleware and routing and shared by the entire chain.
    public var context: RequestContext { storage.context }

    /// The address of the client, without its port; `nil` if there is none (tests, Unix sockets). It is the address of
    /// the connection's peer, unless there are trusted proxies in front of the server: see ``TrustedProxies``.
    public internal(set) var remoteAddress: String? {
        get { storage.remoteAddress }
        set {
            makeUnique()
            storage.remoteAddress = newValue
        }
    }

    /// The values of the route's `:name` segments, percent-decoded.
    public var parameters: PathParameters { context.parameters }

    /// The part of the target before the `?`, still percent-encoded.
    public var path: Substring {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return target[...] }
        return target[..<mark]
    }

    /// The part of the target after the `?`, still percent-encoded; `nil` if there is no `?`.
    public var rawQuery: Substring? {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        return target[target.utf8.index(after: mark)...]
    }

    /// Returns the decoded values of a query parameter, in the order received.
    /// - Throws: An ``AppError`` of code `invalidArgument` if the query is not valid percent-encoded UTF-8.
    public func queryValues(_ name: String) throws -> [String] {
        try queryItems().compactMap { $0.name.isExactly(name) ? $0.value : nil }
    }

    /// Returns all parameters of the query, decoded, in the order received.
    /// - Throws: An ``AppError`` of code `invalidArgument` if the query is not valid percent-encoded UTF-8.
    package func queryItems() throws -> [(name: String, value: String)] {
        try rawQuery.map { try URLEncodedPairs.read($0, of: "query") } ?? []
    }

    /// The segments of the path, still percent-encoded, without an empty segment at the end.
    package var rawPathSegments: [Substring] {
        var parts = Substring(path.utf8.dropFirst()).split(at: "/", omittingEmpty: false)
        if parts.last?.isEmpty == true { parts.removeLast() }
        return parts
    }
}

extension Request {
    /// Returns the value of a cookie, without enclosing quotes (RFC 6265 §4.1.1). If several cookies have the name, the
    /// first one is used, which is the one with the longest path.
    public func cookie(_ name: String) -> String? { cookies(name).first }

    /// Returns the values of all cookies of a name, in the order received.
    func cookies(_ name: String) -> [String] {
        guard let field = headers[.cookie] else { return [] }
        var values: [String] = []
        for pair in field.utf8.split(separator: UInt8(ascii: ";")) {
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let whitespace = [UInt8(ascii: " "), UInt8(ascii: "\t")]
            guard pair[..<equals].drop(while: whitespace.contains).elementsEqual(name.utf8) else { continue }
            var value = pair[pair.index(after: equals)...]
            while let last = value.last, whitespace.contains(last) { value.removeLast() }
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
