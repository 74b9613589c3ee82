import ApusCore
import ApusHTTP
import HTTPTypes

/// An error in the bytes of a request, of either version of HTTP, or in the pace at which they arrive.
///
/// In HTTP/1.1 it is answered once, then the connection is closed. In HTTP/2 it concerns a single stream.
package enum RequestError: Error, Equatable {
    case malformedRequestLine
    case unsupportedVersion
    case headTooLarge(limit: Int)
    case tooManyFields(limit: Int)
    case malformedField
    case bareLineFeed
    case missingHost
    case malformedHost
    case unknownExpectation
    /// A CONNECT request; this server is not a proxy.
    case tunnelRefused
    case conflictingLengths
    case malformedContentLength
    case unsupportedTransferCoding
    case malformedChunk
    case unsupportedTarget
    case headTimeout
    case bodyTooSlow
    /// The request ended before it was complete.
    case truncated

    /// The error that is sent to the client.
    var appError: AppError {
        switch self {
        case .malformedRequestLine:
            AppError(
                .invalidArgument,
                "The request line must consist of a method, a target and HTTP/1.1, separated by single spaces.")
        case .unsupportedVersion: AppError(.unimplemented, "The HTTP version must be 1.0 or 1.1.")
        case .headTooLarge(let limit): AppError(.outOfRange, "The request header is larger than \(limit) bytes.")
        case .tooManyFields(let limit): AppError(.outOfRange, "The request has more than \(limit) header fields.")
        case .malformedField:
            AppError(
                .invalidArgument,
                "A header field is malformed. It must consist of a name, a colon and a value, on one line.")
        case .bareLineFeed:
            AppError(.invalidArgument, "Each line of the request header must end with CR LF, not with LF alone.")
        case .missingHost: AppError(.invalidArgument, "The request must have exactly one Host field.")
        case .malformedHost:
            AppError(.invalidArgument, "The host must be a name or an IP address, optionally with a port.")
        case .unknownExpectation: AppError(.invalidArgument, "The only supported expectation is 100-continue.")
        case .tunnelRefused: AppError(.unimplemented, "CONNECT is not supported, because this server is not a proxy.")
        case .conflictingLengths:
            AppError(
                .invalidArgument,
                "The length of the body is specified more than once. Send one Content-Length or one Transfer-Encoding.")
        case .malformedContentLength: AppError(.invalidArgument, "Content-Length must be a decimal number of bytes.")
        case .unsupportedTransferCoding:
            AppError(
                .unimplemented, "The only supported transfer coding is chunked, applied once, in HTTP/1.1.")
        case .malformedChunk: AppError(.invalidArgument, "The chunked body is malformed.")
        case .unsupportedTarget:
            AppError(.invalidArgument, "The request target must be a path or an absolute http or https URL.")
        case .headTimeout:
            AppError(.deadlineExceeded, "The request header took too long to arrive.", reason: .requestTimeout)
        case .bodyTooSlow:
            AppError(.deadlineExceeded, "The request body is arriving too slowly.", reason: .requestTimeout)
        case .truncated: AppError(.cancelled, "The request was aborted before it was complete.")
        }
    }

    /// The HTTP status. It is more specific than that of the canonical code where HTTP defines one.
    var status: HTTPResponse.Status {
        switch self {
        case .headTooLarge, .tooManyFields: .requestHeaderFieldsTooLarge
        case .unsupportedVersion: .init(code: 505, reasonPhrase: "HTTP Version Not Supported")
        case .unknownExpectation: .expectationFailed
        case .malformedRequestLine, .malformedField, .bareLineFeed, .missingHost, .malformedHost, .tunnelRefused,
            .conflictingLengths, .malformedContentLength, .unsupportedTransferCoding, .malformedChunk,
            .unsupportedTarget, .headTimeout, .bodyTooSlow, .truncated:
            appError.httpStatus
        }
    }
}
