public import ApusCore
import HTTPTypes

/// The error behind a response.
package final class Failure: Sendable {
    /// What the client may know of it.
    package let error: AppError
    /// What was thrown: protocols with richer errors than `AppError` read it.
    package let thrown: any Error

    package init(_ thrown: any Error) {
        self.thrown = thrown
        error = AppError(wrapping: thrown)
    }
}

extension Response {
    /// An error as a response: its status and the fields that go with it (`Retry-After`, `Allow`, `WWW-Authenticate` …).
    ///
    /// It has no body yet. ``ErrorRendering`` writes one, in the form that the client prefers, and the server a problem document
    /// where there is no such middleware.
    public init(error thrown: any Error) {
        let failure = Failure(thrown)
        self.init(status: failure.error.httpStatus, headers: failure.error.fields)
        delivery = .failure(failure, isRendered: false)
    }

    /// The error that this response stands for; `nil` for any other response, whatever its status.
    public var error: AppError? { failure?.error }

    package var failure: Failure? { if case .failure(let failure, _) = delivery { failure } else { nil } }

    /// The failure that still needs a body.
    package var unrenderedFailure: Failure? {
        if case .failure(let failure, isRendered: false) = delivery { failure } else { nil }
    }

    /// The same response; as a problem document if it is an error without a body.
    /// - Parameter requestID: The id under which the request is logged.
    package func rendered(requestID: String) -> Response {
        guard let failure = unrenderedFailure else { return self }
        return rendering(failure, ProblemDetails(failure.error, requestID: requestID))
    }

    /// The same response with the body of an error.
    /// - Parameter type: What the client prefers of `application/problem+json`, `text/html` and `text/plain`.
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
    /// The fields that go with this error over HTTP.
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

    /// The facts that are header fields over HTTP: in ``AppError/Details/metadata``, under the fields' names in lower case.
    private var fieldNames: [HTTPField.Name] {
        switch details.reason {
        case .methodNotAllowed?: [.allow]
        case .unsupportedMediaType?: [.acceptEncoding]
        case .upgradeRequired?: [.upgrade, .secWebSocketVersion]
        default: code == .unauthenticated ? [.wwwAuthenticate] : []
        }
    }
}
