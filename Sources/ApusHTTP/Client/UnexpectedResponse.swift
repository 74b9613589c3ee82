public import HTTPTypes

/// An error for a response whose status is not one that an ``Endpoint`` returns on success.
public struct UnexpectedResponse: Error, CustomStringConvertible {
    public let response: ClientResponse

    /// The status of the response.
    public var status: HTTPResponse.Status { response.status }

    /// The body of the response, if it is a problem document.
    public var problem: ProblemDetails? { try? response.problem() }

    public var description: String { "\(status): \(problem?.detail ?? String(response.text.prefix(256)))" }
}
