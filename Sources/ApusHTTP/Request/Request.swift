import ApusCore
public import HTTPTypes
import NIOCore

/// A request as middleware and handlers see it, whichever protocol brought it.
public struct Request: Sendable {
    /// What came with the header, behind one reference: a request is handed on and copied more often than it is changed.
    private final class Head: Sendable {
        let method: HTTPRequest.Method
        let target: String
        let authority: String?
        let headers: RequestHeaders
        let remoteAddress: String?

        init(
            method: HTTPRequest.Method, target: String, authority: String?, headers: RequestHeaders,
            remoteAddress: String?
        ) {
            self.method = method
            self.target = target
            self.authority = authority
            self.headers = headers
            self.remoteAddress = remoteAddress
        }
    }

    private var head: Head

    /// What follows the header.
    public var body: RequestBody

    /// What is known of this request, filled in on its way through the middleware and shared by all of it.
    public let context: RequestContext

    /// - Parameters:
    ///   - target: The path and, after a `?`, the query, percent-encoded.
    ///   - authority: The host and port, where `Host` does not say them.
    public init(
        method: HTTPRequest.Method,
        target: String,
        authority: String? = nil,
        headers: RequestHeaders = [:],
        body: RequestBody = .empty,
        remoteAddress: String? = nil,
        context: RequestContext = RequestContext()
    ) {
        head = Head(
            method: method, target: target, authority: authority, headers: headers, remoteAddress: remoteAddress)
        self.body = body
        self.context = context
    }

    /// The method, such as `GET`.
    public var method: HTTPRequest.Method {
        get { head.method }
        set {
            head = Head(
                method: newValue, target: target, authority: head.authority, headers: headers,
                remoteAddress: remoteAddress)
        }
    }

    /// The request target as it was sent: the path and, after a `?`, the query. Nothing is decoded.
    public var target: String { head.target }

    /// The host and port that the client asked for: of `:authority`, of a target in absolute form, or of `Host`.
    public var authority: String? { head.authority ?? headers[.host] }

    /// The header fields, in the order in which they came.
    public var headers: RequestHeaders {
        get { head.headers }
        set {
            head = Head(
                method: method, target: target, authority: head.authority, headers: newValue,
                remoteAddress: remoteAddress)
        }
    }

    /// The address of the peer of the connection, without its port; `nil` when there is none (tests, Unix sockets).
    public var remoteAddress: String? { head.remoteAddress }

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
        guard let rawQuery else { return [] }
        var values: [String] = []
        for pair in rawQuery.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = PercentEncoding.decode(parts[0], plusIsSpace: true),
                let value = PercentEncoding.decode(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else { throw AppError(.invalidArgument, "The query is not valid percent-encoded UTF-8.") }
            if key == name { values.append(value) }
        }
        return values
    }
}

extension HTTPField.Name {
    static let host = HTTPField.Name("Host")!
}
