import ApusCore
import ApusJSON
import HTTPTypes
import NIOCore

/// A part of a list, and how to go on from there: keyset paging, whose pages stay right while rows come and go.
///
/// ```swift
/// routes.get("orders", Paging(by: Order.ID.self)) { page in
///     Page(try await orders.list(after: page.after, limit: page.limit + 1), of: page, by: \.id)
/// }
/// ```
///
/// Sent as `{"items": […], "next": "…"}`, and the address of the next page in a `Link` field (RFC 8288) too. Without a next
/// page neither is there.
public struct Page<Item: Encodable & Sendable>: Encodable, ResponseConvertible {
    /// What is on this page.
    public let items: [Item]
    /// Where the next page begins; `nil` on the last one.
    public let next: String?

    /// - Parameters:
    ///   - items: One more than the limit if there are more: it is left out, and says that there is a next page.
    ///   - key: What the list is ordered by. Every item has another one.
    public init<Key: Codable & Sendable>(_ items: [Item], of request: PageRequest<Key>, by key: (Item) -> Key) throws {
        self.items = Array(items.prefix(request.limit))
        next = try items.count > request.limit ? self.items.last.map { try Cursor.encode(key($0)) } : nil
    }

    public func response(to request: Request) throws -> Response {
        var response = try Response.json(self)
        if let next { response.headers[.link] = "<\(Self.link(request, next))>; rel=\"next\"" }
        return response
    }

    /// The request's own address with another cursor.
    private static func link(_ request: Request, _ cursor: String) -> String {
        let rest = (request.rawQuery ?? "").split(at: "&").filter {
            !($0.cut(at: "=")?.before ?? $0).isExactly("cursor")
        }
        return "\(request.path)?" + (rest + ["cursor=\(cursor)"]).joined(separator: "&")
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
            "OK", content: .init(["application/json": schema]), headers: ["Link": "The next page, if there is one."])
    }
}

/// As a client receives it.
extension Page: Decodable where Item: Decodable {}

/// Which part of a list is asked for.
public struct PageRequest<Key: Codable & Sendable>: Sendable {
    /// The key after which the page begins; `nil` for the first page.
    public let after: Key?
    /// The most items of the page.
    public let limit: Int

    /// - Parameters:
    ///   - cursor: What the page before names as ``Page/next``; `nil` for the first page.
    ///   - limit: The most items of the page.
    /// - Throws: An `AppError` of code `invalidArgument` for a cursor that no list by this key gives.
    public init(cursor: String? = nil, limit: Int = 20) throws {
        after = try cursor.map { try Cursor.decode($0) }
        self.limit = limit
    }
}

/// The query parameters of a list that is read page by page: `cursor`, as the page before gave it, and `limit`.
public struct Paging<Key: Codable & Sendable>: RequestInput {
    private let limits: ClosedRange<Int>
    private let defaultLimit: Int

    /// - Parameters:
    ///   - key: What the list is ordered by.
    ///   - limit: How many items there are on a page if the client does not say.
    ///   - maximum: How many a client may ask for.
    public init(by key: Key.Type, limit: Int = 20, maximum: Int = 100) {
        limits = 1...max(1, maximum)
        defaultLimit = min(max(1, limit), maximum)
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
        request.addQuery("limit", "\(value.limit)")
        if let key = value.after { request.addQuery("cursor", try Cursor.encode(key)) }
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
                "cursor", in: .query, isRequired: false, schema: .literal(["type": "string"]),
                description: "Where the page begins: as the page before gave it."),
        ]
        operation.mayFail(.badRequest, "A parameter is missing or malformed.")
    }
}

/// A key as text that a client hands back and does not look into.
enum Cursor {
    static func encode(_ key: some Encodable) throws -> String {
        Base64URL.encode(try JSONCoding.encode([key]).readableBytesView)
    }

    static func decode<Key: Decodable>(_ text: String) throws -> Key {
        guard let data = Base64URL.decode(text), let keys = try? JSONCoding.decode([Key].self, from: data),
            let key = keys.first, keys.count == 1
        else { throw AppError(.invalidArgument, "The query parameter \"cursor\" is none that this list gave.") }
        return key
    }
}

extension HTTPField.Name {
    fileprivate static let link = HTTPField.Name("Link")!
}
