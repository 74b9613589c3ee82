import ApusCore
import ApusJSON
import HTTPTypes
import NIOCore

/// A page of a list, with a cursor to the next page (keyset pagination). Pages remain correct while rows are inserted
/// and deleted.
///
/// ```swift
/// routes.get("orders", Paging(by: Order.ID.self)) { page in
///     Page(try await orders.list(after: page.after, limit: page.limit + 1), of: page, by: \.id)
/// }
/// ```
///
/// It is sent as `{"items": […], "next": "…"}`, with the URL of the next page in a `Link` field (RFC 8288) as well. The
/// last page has neither `next` nor `Link`.
public struct Page<Item: Encodable & Sendable>: Encodable, ResponseConvertible {
    /// The items of this page.
    public let items: [Item]
    /// The cursor of the next page; `nil` on the last page.
    public let next: String?

    /// Creates a page.
    /// - Parameters:
    ///   - items: The items of the page, and one more if there is a next page, which indicates this and is left out.
    ///   - request: The requested page.
    ///   - key: Returns the key by which the list is ordered. It must be unique.
    public init<Key: Codable & Sendable>(_ items: [Item], of request: PageRequest<Key>, by key: (Item) -> Key) throws {
        self.items = Array(items.prefix(request.limit))
        next = try items.count > request.limit ? self.items.last.map { try Cursor.encode(key($0)) } : nil
    }

    /// Creates a page.
    /// - Parameters:
    ///   - items: The items of the page.
    ///   - next: The key after which the next page begins; `nil` on the last page.
    public init<Key: Codable & Sendable>(_ items: [Item], next: Key?) throws {
        self.items = items
        self.next = try next.map { try Cursor.encode($0) }
    }

    public func response(to request: Request) throws -> Response {
        var response = try Response.json(self)
        if let next { response.headers[.link] = "<\(Self.link(request, next))>; rel=\"next\"" }
        return response
    }

    /// Returns the path and query of the request with another cursor.
    private static func link(_ request: Request, _ cursor: String) -> String {
        let rest = (request.rawQuery ?? "").split(at: "&").filter {
            !($0.cut(at: "=")?.before ?? $0).isExactly("cursor")
        }
        let query = (rest + ["cursor=\(cursor)"]).joined(separator: "&")
        return PercentEncoding.encode(path: String(request.path), query: query)
    }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        let items = OpenAPI.Schema.of([Item].self)
        let schema = OpenAPI.Schema { registry in
            [
                "type": "object", "required": ["items"],
                "properties": [
                    "items": items.make(registry),
                    "next": ["type": "string", "description": "The cursor of the next page."],
                ],
            ]
        }
        operation.responses[200] = .init(
            "OK", content: .init(["application/json": schema]), headers: ["Link": "The URL of the next page, if any."])
    }
}

/// Decodes a page, for clients.
extension Page: Decodable where Item: Decodable {}

/// The requested page of a list.
public struct PageRequest<Key: Codable & Sendable>: Sendable {
    /// The key after which the page begins; `nil` for the first page.
    public let after: Key?
    /// The maximum number of items on the page.
    public let limit: Int

    /// Creates a request for a page.
    /// - Parameters:
    ///   - cursor: ``Page/next`` of the previous page; `nil` for the first page.
    ///   - limit: The maximum number of items on the page.
    /// - Throws: An `AppError` of code `invalidArgument` if the cursor is not one of a list with this type of key.
    public init(cursor: String? = nil, limit: Int = 20) throws {
        after = try cursor.map { try Cursor.decode($0) }
        self.limit = limit
    }
}

/// The query parameters of a paginated list: `cursor`, which comes from the previous page, and `limit`.
public struct Paging<Key: Codable & Sendable>: RequestInput {
    private let limits: ClosedRange<Int>
    private let defaultLimit: Int

    /// Creates an input for the requested page.
    /// - Parameters:
    ///   - key: The type of the key by which the list is ordered.
    ///   - limit: The number of items on a page if the client does not specify it, from 1 to `maximum`.
    ///   - maximum: The maximum number of items that a client may request, at least 1.
    public init(by key: Key.Type, limit: Int = 20, maximum: Int = 100) {
        limits = 1...max(1, maximum)
        defaultLimit = min(max(1, limit), limits.upperBound)
    }

    public func extract(from request: Request) throws -> PageRequest<Key> {
        let limit = try Query("limit", as: Int.self, default: defaultLimit).extract(from: request)
        guard limits.contains(limit) else {
            throw AppError(
                .invalidArgument,
                "The query parameter \"limit\" must be from \(limits.lowerBound) to \(limits.upperBound).")
        }
        let cursor = try Query("cursor", as: String?.self).extract(from: request)
        return try PageRequest(cursor: cursor, limit: limit)
    }

    public func write(_ value: PageRequest<Key>, to request: inout ClientRequest) throws {
        request.addQueryItem("limit", "\(value.limit)")
        if let key = value.after { request.addQueryItem("cursor", try Cursor.encode(key)) }
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        operation.parameters += [
            .init(
                "limit", in: .query, isRequired: false,
                schema: .literal([
                    "type": "integer", "minimum": .integer(limits.lowerBound), "maximum": .integer(limits.upperBound),
                    "default": .integer(defaultLimit),
                ])),
            .init(
                "cursor", in: .query, isRequired: false,
                schema: .literal(["type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_-]+$"]),
                description: "The cursor from the previous page. Omit it for the first page."),
        ]
        operation.addErrorResponse(.badRequest, "A parameter is missing or malformed.")
    }
}

/// Encodes keys as cursors, which are opaque to clients.
enum Cursor {
    static func encode(_ key: some Encodable) throws -> String {
        Base64URL.encode(try JSONCoding.encode([key]).readableBytesView)
    }

    static func decode<Key: Decodable>(_ text: String) throws -> Key {
        guard let data = Base64URL.decode(text), let keys = try? JSONCoding.decode([Key].self, from: data),
            let key = keys.first, keys.count == 1
        else {
            throw AppError(
                .invalidArgument,
                "The query parameter \"cursor\" must be the value of \"next\" on the previous page of the list.")
        }
        return key
    }
}

extension HTTPField.Name {
    fileprivate static let link = HTTPField.Name("Link")!
}
