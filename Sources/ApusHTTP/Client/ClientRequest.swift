import ApusCore
public import HTTPTypes
public import NIOCore

/// A client's request, built from the values of an ``Endpoint``'s inputs.
public struct ClientRequest: Sendable {
    public let method: HTTPRequest.Method
    public var headers: HTTPFields = [:]
    public var body: ByteBuffer?

    private let path: String
    private var segments: [String: String] = [:]
    private var query: [(name: String, value: String)] = []

    init(_ method: HTTPRequest.Method, _ path: String) {
        self.method = method
        self.path = path
    }

    /// Sets the value of the path parameter `:name`.
    public mutating func setPathParameter(_ name: String, _ value: String) { segments[name] = value }

    /// Adds a query parameter.
    public mutating func addQueryItem(_ name: String, _ value: String) { query.append((name, value)) }

    /// Adds a cookie.
    public mutating func addCookie(_ name: String, _ value: String) {
        let others = headers[.cookie].map { $0 + "; " } ?? ""
        headers[.cookie] = "\(others)\(name)=\(value)"
    }

    /// The path and the query, percent-encoded.
    public var target: String {
        let parts = path.split(at: "/").map { part in
            guard part.starts(withBytesOf: ":") else { return String(part) }
            return PercentEncoding.encode(segments[String(Substring(part.utf8.dropFirst()))] ?? "")
        }
        let pairs = query.map { "\(PercentEncoding.encode($0.name))=\(PercentEncoding.encode($0.value))" }
        return "/\(parts.joined(separator: "/"))" + (pairs.isEmpty ? "" : "?\(pairs.joined(separator: "&"))")
    }
}
