import ApusCore
import HTTPTypes

/// Evaluates the preconditions of conditional requests (RFC 9110 §13).
enum Preconditions {
    enum Outcome {
        /// The request is handled as usual.
        case proceed
        /// 304: the client already has the current representation.
        case notModified
        /// 412: the current state is not the one that the client expects.
        case failed
    }

    /// Evaluates the preconditions in the order of RFC 9110 §13.2.2.
    /// - Parameter lastModified: In seconds since 1970.
    static func evaluate(_ request: Request, tag: EntityTag?, lastModified: Int?) -> Outcome {
        let headers = request.headers
        if let field = headers[.ifMatch] {
            guard matches(field, tag, { $0.isIdentical(to: $1) }) else { return .failed }
        } else if let date = date(headers[.ifUnmodifiedSince]), let lastModified, lastModified > date {
            return .failed
        }
        let isRead = request.method == .get || request.method == .head
        if let field = headers[.ifNoneMatch] {
            guard matches(field, tag, { $0.isEquivalent(to: $1) }) else { return .proceed }
            return isRead ? .notModified : .failed
        }
        if isRead, let date = date(headers[.ifModifiedSince]), let lastModified, lastModified <= date {
            return .notModified
        }
        return .proceed
    }

    /// Returns whether a range may be sent: the part that the client has must be from the current state
    /// (RFC 9110 §13.1.5).
    static func allowsRange(_ request: Request, tag: EntityTag?, lastModified: Int?) -> Bool {
        guard let field = request.headers[.ifRange] else { return true }
        if let known = EntityTag(parsing: field) { return tag.map { known.isIdentical(to: $0) } ?? false }
        guard let date = date(field), let lastModified else { return false }
        return date == lastModified
    }

    private static func matches(_ field: String, _ tag: EntityTag?, _ same: (EntityTag, EntityTag) -> Bool) -> Bool {
        if field.trimmed == "*" { return true }
        guard let tag else { return false }
        return EntityTag.list(field).contains { same($0, tag) }
    }

    private static func date(_ field: String?) -> Int? { field.flatMap(HTTPDate.parse) }
}
