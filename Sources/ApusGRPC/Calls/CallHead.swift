import ApusCore
import ApusHTTP
import GRPCCore
import HTTPTypes

/// What a call's header says, read and checked.
struct CallHead {
    let format: WireFormat
    /// When the client stops waiting.
    let deadline: Deadline?
    /// What messages of the client are compressed by, if they are.
    let encoding: MessageEncoding
    /// What the client reads beside plain messages.
    let accepted: MessageEncoding

    /// - Throws: An `AppError`: `invalidArgument` with the reason `unsupportedMediaType`, `unimplemented` for an encoding that
    ///   is not known, `internal` for a timeout that is none.
    init(_ request: Request) throws {
        let headers = request.headers
        guard let type = headers[.contentType], let format = WireFormat(contentType: type) else {
            throw AppError(
                .invalidArgument, "Calls have the content type application/grpc or application/grpc-web.",
                reason: .unsupportedMediaType)
        }
        self.format = format
        deadline = try headers[.grpcTimeout].map { .after(try Self.timeout($0)) }
        encoding = try MessageEncoding(named: headers[.grpcEncoding])
        let names = headers[.grpcAcceptEncoding]?.split(whereSeparator: { $0 == "," || $0 == " " }) ?? []
        accepted = names.contains { $0 == MessageEncoding.gzip.rawValue } ? .gzip : .identity
    }

    /// At most eight digits and a unit (gRPC over HTTP/2, Timeout).
    static func timeout(_ text: String) throws -> Duration {
        let digits = text.utf8.dropLast()
        guard (1...8).contains(digits.count), digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
            let amount = Int(text.dropLast())
        else { throw malformed(timeout: text) }
        return switch text.utf8.last {
        case UInt8(ascii: "H"): .seconds(3600 * amount)
        case UInt8(ascii: "M"): .seconds(60 * amount)
        case UInt8(ascii: "S"): .seconds(amount)
        case UInt8(ascii: "m"): .milliseconds(amount)
        case UInt8(ascii: "u"): .microseconds(amount)
        case UInt8(ascii: "n"): .nanoseconds(amount)
        default: throw malformed(timeout: text)
        }
    }

    private static func malformed(timeout text: String) -> AppError {
        AppError(
            .internal, "\"\(text.prefix(16))\" is no timeout: up to 8 digits and one of H, M, S, m, u and n are.",
            reason: .malformedCall)
    }
}

extension HTTPField.Name {
    static let grpcTimeout = HTTPField.Name("grpc-timeout")!
    static let grpcEncoding = HTTPField.Name("grpc-encoding")!
    static let grpcAcceptEncoding = HTTPField.Name("grpc-accept-encoding")!
    static let grpcMessage = HTTPField.Name("grpc-message")!
    static let grpcStatusDetails = HTTPField.Name("grpc-status-details-bin")!
}
