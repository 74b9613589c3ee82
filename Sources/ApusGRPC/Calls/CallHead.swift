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
    /// What it says beside the call itself.
    let metadata: Metadata

    /// - Throws: An `AppError`: `invalidArgument` with the reason `unsupportedMediaType`, `unimplemented` for an encoding that
    ///   is not known, `internal` for a timeout that is none.
    init(_ request: Request) throws {
        var fields = Fields()
        try request.headers.forEach { try fields.take($0) }
        guard let format = fields.format else {
            throw AppError(
                .invalidArgument, "Calls have the content type application/grpc or application/grpc-web.",
                reason: .unsupportedMediaType)
        }
        self.format = format
        if let problem = fields.problem { throw problem }
        deadline = try fields.timeout.map { .after(try Self.timeout($0)) }
        encoding = try MessageEncoding(named: fields.encoding)
        accepted = fields.acceptsGzip ? .gzip : .identity
        metadata = fields.metadata
    }

    /// What the fields of a request say, each looked at once.
    private struct Fields {
        var format: WireFormat?
        var timeout: String?
        var encoding: String?
        var acceptsGzip = false
        var metadata = Metadata()
        /// What is wrong with a field of the service's; said after what is wrong with the call.
        var problem: (any Error)?

        mutating func take(_ field: RequestHeaders.Field) throws {
            switch field.nameCount {
            case 12 where field.isNamed("content-type"):
                format = field.hasValue("application/grpc") ? .grpc : WireFormat(contentType: field.value)
            case 12 where field.isNamed("grpc-timeout"): timeout = field.value
            case 13 where field.isNamed("grpc-encoding"): encoding = field.value
            case 20 where field.isNamed("grpc-accept-encoding"):
                let names = field.value.split(whereSeparator: { $0 == "," || $0 == " " })
                acceptsGzip = acceptsGzip || names.contains { $0 == MessageEncoding.gzip.rawValue }
            default:
                do { try metadata.add(field) } catch { problem = problem ?? error }
            }
        }
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
    static let grpcMessage = HTTPField.Name("grpc-message")!
    static let grpcStatusDetails = HTTPField.Name("grpc-status-details-bin")!
}
