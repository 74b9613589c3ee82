public import ApusCore
import HTTPTypes

/// The error that a response represents.
package final class Failure: Sendable {
    /// The error as the client may see it.
    package let error: AppError
    /// The error that was thrown, for protocols with richer errors than `AppError`.
    package let thrown: any Error

    package init(_ thrown: any Error) {
        self.thrown = thrown
        error = AppError(wrapping: thrown)
    }
}

extension Response {
    /// Creates a response for an error, with its status and its header fields (`Retry-After`, `Allow`,
    /// `WWW-Authenticate` …).
    ///
    /// It has no body yet. ``ErrorRendering`` adds one, in the format that the client prefers; without this middleware,
    /// the server adds a problem document.
    public init(error thrown: any Error) {
        let failure = Failure(thrown)
        self.init(status: failure.error.httpStatus, headers: failure.error.fields)
        delivery = .failure(failure, isRendered: false)
    }

    /// The error that this response represents; `nil` for any other response, regardless of its status.
    public var error: AppError? { failure?.error }

    package var failure: Failure? { if case .failure(let failure, _) = delivery { failure } else { nil } }

    /// The failure, if it has no body yet.
    package var unrenderedFailure: Failure? {
        if case .failure(let failure, isRendered: false) = delivery { failure } else { nil }
    }

    /// Returns the response, with a problem document as its body if it is an error without one.
    /// - Parameter requestID: The ID under which the request is logged.
    package func rendered(requestID: String) -> Response {
        guard let failure = unrenderedFailure else { return self }
        return rendering(failure, ProblemDetails(failure.error, requestID: requestID))
    }

    /// Returns the response with the body of an error.
    /// - Parameter type: The preferred type: `application/problem+json`, `text/html` or `text/plain`.
    func rendering(_ failure: Failure, _ problem: ProblemDetails, as type: String? = nil) -> Response {
        var response = self
        var problem = problem
        problem.status = status.code
        problem.title = status.reasonPhrase
        response.setBody(problem, as: type)
        response.delivery = .failure(failure, isRendered: true)
        return response
    }
}

extension AppError {
    /// The header fields of this error over HTTP.
    var fields: HTTPFields {
        var fields: HTTPFields = [:]
        if let retryAfter = details.retryAfter {
            fields[.retryAfter] = String(max(1, Int(retryAfter.seconds.rounded(.up))))
        }
        for name in fieldNames {
            if let value = details.metadata[name.canonicalName] { fields[name] = value }
        }
        if code == .unauthenticated, fields[.wwwAuthenticate] == nil { fields[.wwwAuthenticate] = "Bearer" }
        return fields
    }

    /// The names of the header fields whose values are in ``AppError/Details/metadata``, under their names in lower
    /// case.
    private var fieldNames: [HTTPField.Name] {
        switch details.reason {
        case .methodNotAllowed?: [.allow]
        case .unsupportedMediaType?: [.acceptEncoding]
        case .upgradeRequired?: [.upgrade, .secWebSocketVersion]
        default: code == .unauthenticated ? [.wwwAuthenticate] : []
        }
    }
}
