import ApusCore
import ApusHTTP
import HTTPTypes

/// What is wrong with the bytes of a request. Each is answered once, and the connection is closed.
package enum HTTP1Error: Error, Equatable {
    case malformedRequestLine
    case unsupportedVersion
    case headTooLarge(limit: Int)
    case tooManyFields(limit: Int)
    case malformedField
    case bareLineFeed
    case missingHost
    case malformedHost
    case unknownExpectation
    /// CONNECT: this is no proxy.
    case tunnelRefused
    case conflictingLengths
    case malformedContentLength
    case unsupportedTransferCoding
    case malformedChunk
    case unsupportedTarget
    case headTimeout
    case bodyTooSlow
    /// The client went before its request was whole.
    case truncated
    /// No error: the client speaks HTTP/2 (RFC 9113 §3.4).
    case http2Preface

    /// What the client is told.
    var appError: AppError {
        switch self {
        case .malformedRequestLine:
            AppError(
                .invalidArgument, "The request line must be a method, a target and HTTP/1.1, a space between each.")
        case .unsupportedVersion: AppError(.unimplemented, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        case .headTooLarge(let limit): AppError(.outOfRange, "The header is larger than \(limit) bytes.")
        case .tooManyFields(let limit): AppError(.outOfRange, "The header has more than \(limit) fields.")
        case .malformedField:
            AppError(
                .invalidArgument, "A header field is malformed; each must be a name, a colon and a value on one line.")
        case .bareLineFeed: AppError(.invalidArgument, "Lines of the header must end with CR and LF.")
        case .missingHost: AppError(.invalidArgument, "Exactly one Host field is required.")
        case .malformedHost: AppError(.invalidArgument, "Host must be a name or an address, and perhaps a port.")
        case .unknownExpectation: AppError(.invalidArgument, "The only expectation understood is 100-continue.")
        case .tunnelRefused: AppError(.unimplemented, "CONNECT is for proxies; this is none.")
        case .conflictingLengths:
            AppError(.invalidArgument, "The length of the body is given in more than one way.")
        case .malformedContentLength: AppError(.invalidArgument, "Content-Length must be a decimal number of bytes.")
        case .unsupportedTransferCoding:
            AppError(.unimplemented, "The only transfer coding understood is chunked, once, in HTTP/1.1.")
        case .malformedChunk: AppError(.invalidArgument, "The chunked body is malformed.")
        case .unsupportedTarget:
            AppError(.invalidArgument, "The request target must be a path, or an absolute http URL.")
        case .headTimeout: AppError(.deadlineExceeded, "The header took too long to arrive.", reason: .requestTimeout)
        case .bodyTooSlow: AppError(.deadlineExceeded, "The body arrives too slowly.", reason: .requestTimeout)
        case .http2Preface: HTTP1Error.unsupportedVersion.appError
        case .truncated: AppError(.cancelled, "The connection ended in the middle of the request.")
        }
    }

    /// The status where HTTP has one that the canonical codes do not reach.
    var status: HTTPResponse.Status {
        switch self {
        case .headTooLarge, .tooManyFields: .requestHeaderFieldsTooLarge
        case .unsupportedVersion: .init(code: 505, reasonPhrase: "HTTP Version Not Supported")
        case .unknownExpectation: .expectationFailed
        case .malformedRequestLine, .malformedField, .bareLineFeed, .missingHost, .malformedHost, .tunnelRefused,
            .conflictingLengths,
            .malformedContentLength, .unsupportedTransferCoding, .malformedChunk, .unsupportedTarget, .headTimeout,
            .bodyTooSlow, .truncated, .http2Preface:
            appError.httpStatus
        }
    }
}
