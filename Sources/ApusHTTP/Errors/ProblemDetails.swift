public import ApusCore
import HTTPTypes

/// The body of an error response: `application/problem+json` (RFC 9457).
public struct ProblemDetails: Codable, Sendable, Equatable {
    /// The type of the problem, as a URI; `about:blank` if ``title`` is sufficient. See ``ErrorRendering``.
    public var type = "about:blank"
    /// The reason phrase of the status.
    public var title: String
    /// The HTTP status.
    public var status: Int
    /// The description of this occurrence of the problem.
    public var detail: String
    /// The path of the request.
    public var instance: String?
    /// The canonical code, such as `NOT_FOUND`.
    public var code: String
    /// The stable identifier of the error for programs, if there is one.
    public var reason: String?
    /// The ID under which the request is logged.
    public var requestID: String?
    /// The fields that are invalid, by JSON pointer.
    public var errors: [ValidationFailure]?

    enum CodingKeys: String, CodingKey {
        case type, title, status, detail, instance, code, reason, errors
        case requestID = "request_id"
    }

    /// Creates problem details with what a client may see of an error.
    public init(_ error: AppError, requestID: String? = nil) {
        let status = error.httpStatus
        title = status.reasonPhrase
        self.status = status.code
        detail = error.message
        code = error.code.name
        reason = error.details.reason?.description
        errors = error.details.failures.isEmpty ? nil : error.details.failures
        self.requestID = requestID.flatMap { $0.isEmpty ? nil : $0 }
    }
}

extension Response {
    /// Creates an `application/problem+json` response for an error, with its header fields: `Retry-After`, `Allow`,
    /// `WWW-Authenticate`.
    public init(problem error: AppError, requestID: String? = nil) {
        self = Response(error: error).rendered(requestID: requestID ?? "")
    }

    /// Sets the body and its `Content-Type`.
    /// - Parameter type: The preferred type: `application/problem+json`, `text/html` or `text/plain`.
    mutating func setBody(_ problem: ProblemDetails, as type: String?) {
        headers[.contentType] = "application/problem+json"
        headers[.cacheControl] = "no-store"
        switch type {
        case "text/html":
            headers[.contentType] = "text/html; charset=utf-8"
            body = .text(problem.page.text)
        case "text/plain":
            headers[.contentType] = "text/plain; charset=utf-8"
            body = .text(problem.text)
        default: body = (try? JSONCoding.encode(problem)).map(ResponseBody.bytes) ?? .empty
        }
    }
}

extension ProblemDetails {
    /// The problem as plain text, for terminals.
    fileprivate var text: String {
        var lines = ["\(status) \(title)", detail]
        lines += (errors ?? []).map { "\($0.pointer) \($0.message)" }
        if let requestID { lines.append("Request \(requestID)") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The problem as an HTML page, for browsers.
    fileprivate var page: HTML {
        let title = "\(status) \(title)"
        let lines = text.split(at: "\n").dropFirst().map { line -> HTML in "<p>\(String(line))</p>" }
        return """
            <!doctype html><html lang="en"><head><meta charset="utf-8"><title>\(title)</title></head>\
            <body><h1>\(title)</h1>\(lines)</body></html>
            """
    }
}
