import ApusCore
import ApusHTTP
import GRPCCore
import HTTPTypes

/// The parsed and validated header of a call.
struct CallHead {
    /// The layout of the request.
    let format: WireFormat
    /// The layout of the answer.
    let answerFormat: WireFormat
    /// The time at which the client stops waiting.
    let deadline: Deadline?
    /// The deadline until the response; `nil` if there is none, or if ``GRPCErrorRendering`` already ends the call then.
    let responseDeadline: Deadline?
    /// The encoding of the client's compressed messages.
    let encoding: MessageEncoding
    /// The compression that the client accepts; `identity` for none.
    let accepted: MessageEncoding
    /// The custom metadata.
    let metadata: Metadata

    /// Parses the header of a request.
    /// - Throws: An `AppError` with code `invalidArgument` and reason `unsupportedMediaType`, `unimplemented` for an
    ///   unsupported encoding, `invalidArgument` for a malformed binary metadata value, or `internal` for a malformed
    ///   timeout.
    init(_ request: Request) throws {
        var fields = Fields()
        try request.headers.forEach { try fields.read($0) }
        guard let format = fields.format else {
            throw AppError(
                .invalidArgument,
                "The Content-Type must be application/grpc, application/grpc-web or application/grpc-web-text.",
                reason: .unsupportedMediaType)
        }
        self.format = format
        answerFormat = format.answering(request)
        if let error = fields.metadataError { throw error }
        let timeout = try fields.timeout.map { try Self.timeout($0) }
        let given = timeout == nil ? nil : request.context[CallDeadline.self]
        responseDeadline = given == nil ? timeout.map { Deadline.after($0) } : nil
        deadline = given ?? responseDeadline
        encoding = try MessageEncoding(named: fields.encoding)
        accepted = fields.acceptsGzip ? .gzip : .identity
        metadata = fields.metadata
    }

    /// The relevant fields of a request, collected in a single pass.
    private struct Fields {
        var format: WireFormat?
        var timeout: String?
        var encoding: String?
        var acceptsGzip = false
        var metadata = Metadata()
        /// The first error in the metadata, thrown only if the content type is valid.
        var metadataError: (any Error)?

        mutating func read(_ field: RequestHeaders.Field) throws {
            switch field.nameCount {
            case 12 where field.isNamed("content-type"):
                format = field.hasValue("application/grpc") ? .grpc : WireFormat(contentType: field.value)
            case 12 where field.isNamed("grpc-timeout"): timeout = field.value
            case 13 where field.isNamed("grpc-encoding"): encoding = field.value
            case 20 where field.isNamed("grpc-accept-encoding"):
                let names = field.value.split(at: ",").map(\.trimmed)
                acceptsGzip = acceptsGzip || names.contains { $0 == MessageEncoding.gzip.rawValue }
            default:
                do { try metadata.add(field) } catch { metadataError = metadataError ?? error }
            }
        }
    }

    /// Parses a timeout of at most eight digits and a unit (gRPC over HTTP/2, Timeout).
    static func timeout(_ text: String) throws -> Duration {
        let digits = text.utf8.dropLast()
        guard (1...8).contains(digits.count), digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
            let amount = Int(Substring(digits))
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
            .internal,
            "\"\(text.prefix(16))\" is not a valid timeout; expected 1 to 8 digits and a unit: H, M, S, m, u or n.",
            reason: .malformedCall)
    }
}

extension HTTPField.Name {
    static let grpcTimeout = HTTPField.Name("grpc-timeout")!
    static let grpcEncoding = HTTPField.Name("grpc-encoding")!
    static let grpcMessage = HTTPField.Name("grpc-message")!
    static let grpcStatusDetails = HTTPField.Name("grpc-status-details-bin")!
}
