import ApusCore
public import HTTPTypes
import NIOCore

/// A request as middleware and handlers see it, whichever protocol brought it.
public struct Request: Sendable {
    /// The method, such as `GET`.
    public var method: HTTPRequest.Method
    /// The request target as it was sent: the path and, after a `?`, the query. Nothing is decoded.
    public let target: String
    /// The header fields, in the order in which they came.
    public var headers: HTTPFields
    /// What follows the header.
    public var body: RequestBody
    /// The address of the peer of the connection, without its port; `nil` when there is none (tests, Unix sockets).
    public let remoteAddress: String?
    /// What is known of this request, filled in on its way through the middleware and shared by all of it.
    public let context: RequestContext
    /// The values of the route's `:name` segments, percent-decoded.
    public internal(set) var parameters = PathParameters()

    public init(
        method: HTTPRequest.Method,
        target: String,
        headers: HTTPFields = [:],
        body: RequestBody = .empty,
        remoteAddress: String? = nil,
        context: RequestContext = RequestContext()
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.remoteAddress = remoteAddress
        self.context = context
    }

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

/// The values of a route's `:name` segments. Few, so a list is faster than a dictionary.
public struct PathParameters: Sendable {
    private var pairs: [(name: String, value: String)] = []

    /// The decoded value of a segment.
    public subscript(name: String) -> String? {
        pairs.last { $0.name == name }?.value
    }

    mutating func append(_ name: String, _ value: String) { pairs.append((name, value)) }
}
