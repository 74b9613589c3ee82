public import ApusCore
import HTTPTypes

/// An error as a client receives it: `application/problem+json` (RFC 9457).
public struct ProblemDetails: Codable, Sendable, Equatable {
    /// What kind of problem it is: `about:blank`, which means that ``title`` says it.
    public var type = "about:blank"
    /// The status's phrase.
    public var title: String
    /// The HTTP status.
    public var status: Int
    /// What was wrong in this case.
    public var detail: String
    /// The canonical code, such as `NOT_FOUND`.
    public var code: String
    /// The stable identifier that programs compare, if there is one.
    public var reason: String?
    /// The id under which the log knows this request.
    public var requestID: String?
    /// Every field that breaks a rule, by JSON pointer.
    public var errors: [ValidationFailure]?

    enum CodingKeys: String, CodingKey {
        case type, title, status, detail, code, reason, errors
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
        let problem = ProblemDetails(error, requestID: requestID)
        var headers: HTTPFields = [.contentType: "application/problem+json", .cacheControl: "no-store"]
        if let retryAfter = error.details.retryAfter {
            headers[.retryAfter] = String(max(1, Int(retryAfter.seconds.rounded(.up))))
        }
        if let allow = error.details.metadata["allow"] { headers[.allow] = allow }
        if error.code == .unauthenticated {
            headers[.wwwAuthenticate] = error.details.metadata["www-authenticate"] ?? "Bearer"
        }
        if error.details.reason == .upgradeRequired { headers[.upgrade] = error.details.metadata["upgrade"] }
        let body = (try? JSONCoding.encode(problem)).map(ResponseBody.bytes) ?? .empty
        self.init(status: .init(code: problem.status, reasonPhrase: problem.title), headers: headers, body: body)
    }
}
