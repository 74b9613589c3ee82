public import ApusCore
import HTTPTypes

/// An error as a client receives it: `application/problem+json` (RFC 9457).
public struct ProblemDetails: Codable, Sendable, Equatable {
    /// What kind of problem it is, as a URI: `about:blank` where ``title`` says it. See ``ErrorRendering``.
    public var type = "about:blank"
    /// The status's phrase.
    public var title: String
    /// The HTTP status.
    public var status: Int
    /// What was wrong in this case.
    public var detail: String
    /// The path of the request that had it.
    public var instance: String?
    /// The canonical code, such as `NOT_FOUND`.
    public var code: String
    /// The stable identifier that programs compare, if there is one.
    public var reason: String?
    /// The id under which the log knows this request.
    public var requestID: String?
    /// Every field that breaks a rule, by JSON pointer.
    public var errors: [ValidationFailure]?

    enum CodingKeys: String, CodingKey {
        case type, title, status, detail, instance, code, reason, errors
        case requestID = "request_id"
    }

    /// What a client may know of an error.
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
    /// An error as `application/problem+json`, with the fields that go with its kind: `Retry-After`, `Allow`,
    /// `WWW-Authenticate`.
    public init(problem error: AppError, requestID: String? = nil) {
        self = Response(error: error).rendered(requestID: requestID ?? "")
    }

    /// - Parameter type: What the client prefers of `application/problem+json`, `text/html` and `text/plain`.
    mutating func setBody(_ problem: ProblemDetails, as type: String?) {
        headers[.contentType] = "application/problem+json"
        headers[.cacheControl] = "no-store"
        switch type {
        case "text/html":
            headers[.contentType] = "text/html; charset=utf-8"
            body = .text(problem.page)
        case "text/plain":
            headers[.contentType] = "text/plain; charset=utf-8"
            body = .text(problem.text)
        default: body = (try? JSONCoding.encode(problem)).map(ResponseBody.bytes) ?? .empty
        }
    }
}

extension ProblemDetails {
    /// For a reader at a terminal.
    fileprivate var text: String {
        var lines = ["\(status) \(title)", detail]
        lines += (errors ?? []).map { "\($0.pointer) \($0.message)" }
        if let requestID { lines.append("Request \(requestID)") }
        return lines.joined(separator: "\n") + "\n"
    }

    /// For a reader in a browser.
    fileprivate var page: String {
        let title = Self.escaped("\(status) \(title)")
        let lines = text.split(at: "\n").dropFirst().map { "<p>\(Self.escaped(String($0)))</p>" }
        return "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>\(title)</title></head>"
            + "<body><h1>\(title)</h1>\(lines.joined())</body></html>"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing(["&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;"])
    }
}
