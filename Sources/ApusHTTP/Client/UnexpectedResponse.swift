public import HTTPTypes

/// A response that is not what an ``Endpoint`` answers when all goes well.
public struct UnexpectedResponse: Error, CustomStringConvertible {
    public let response: ClientResponse

    /// Its status.
    public var status: HTTPResponse.Status { response.status }

    /// What it says, if that is a problem document.
    public var problem: ProblemDetails? { try? response.problem() }

    public var description: String { "\(status): \(problem?.detail ?? String(response.text.prefix(256)))" }
}
