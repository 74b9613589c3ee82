public import ApusCore
import ApusHTTP
public import GRPCCore
import GRPCProtobuf
import HTTPTypes

/// An error as a gRPC client receives it.
struct GRPCStatus {
    let code: Int
    let message: String
    let metadata: Metadata
    /// `google.rpc.Status`, in bytes, where there is more to say than code and message.
    let details: [UInt8]?

    /// Fields after a body have room for little, on the way and with who receives them: what is too much of it is left out.
    private static let mostMessageBytes = 1024
    private static let mostViolations = 32
    private static let mostDetailBytes = 4096

    /// What a client may know of an error.
    /// - Parameters:
    ///   - thrown: What was thrown: an error of gRPC's keeps its metadata and its details. That of somebody else, which is the
    ///     cause of an `AppError`, does not.
    ///   - domain: Who gives errors their reasons, such as the app's name.
    ///   - requestID: The id under which the log knows the request.
    init(_ thrown: any Error, domain: String, requestID: String) {
        let error = AppError(anyOf: thrown)
        let isOwn = thrown is RPCError || (thrown is any RPCErrorConvertible && !(thrown is any AppErrorConvertible))
        let own = isOwn ? error.cause as? RPCError : nil
        code = error.grpcCode.rawValue
        message = String(decoding: error.message.utf8.prefix(Self.mostMessageBytes), as: UTF8.self)
        var metadata = own?.metadata ?? [:]
        if error.details.reason == .unknownEncoding {
            // What is read, so that the client can choose (gRPC, Compression).
            metadata.addString(MessageEncoding.accepted, forKey: MessageEncoding.acceptKey)
        }
        self.metadata = metadata
        var details: [ErrorDetails] = []
        if let reason = error.details.reason {
            details.append(.errorInfo(reason: reason.description, domain: domain, metadata: error.details.metadata))
        }
        if !error.details.failures.isEmpty {
            details.append(
                .badRequest(violations: error.details.failures.prefix(Self.mostViolations).map { .init($0) }))
        }
        if let delay = error.details.retryAfter { details.append(.retryInfo(delay: delay)) }
        if !details.isEmpty, !requestID.isEmpty { details.append(.requestInfo(requestID: requestID, servingData: "")) }
        let known = own?.metadata[binaryValues: HTTPField.Name.grpcStatusDetails.canonicalName].first { _ in true }
        self.details = details.isEmpty ? known : Self.bytes(of: details, error, message)
    }

    /// `google.rpc.Status`; without what is longest of it where that is too much.
    private static func bytes(of details: [ErrorDetails], _ error: AppError, _ message: String) -> [UInt8]? {
        func bytes(_ details: [ErrorDetails]) -> [UInt8]? {
            try? GoogleRPCStatus(code: RPCError.Code(error.grpcCode), message: message, details: details)
                .serializedBytes()
        }
        let all = bytes(details)
        guard let all, all.count > mostDetailBytes else { return all }
        let short = bytes(details.filter { $0.badRequest == nil })
        return short.flatMap { $0.count > mostDetailBytes ? bytes([]) : $0 }
    }

    /// The fields that say it.
    var fields: HTTPFields {
        var fields: HTTPFields = [.grpcStatus: String(code)]
        if !message.isEmpty { fields[.grpcMessage] = Self.percentEncoded(message) }
        if let details { fields[.grpcStatusDetails] = HTTPFields.base64(details) }
        fields.add(metadata)
        return fields
    }

    /// All bytes but those of printable ASCII, and `%` (gRPC over HTTP/2, Status-Message).
    static func percentEncoded(_ text: String) -> String {
        guard !text.utf8.allSatisfy(isPlain) else { return text }
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if isPlain(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "%") }
}

extension RPCError: AppErrorConvertible {
    /// The error of the same code, here and to clients of HTTP.
    public var appError: AppError { AppError(StatusCode(rawValue: code.rawValue) ?? .unknown, message, cause: self) }
}

extension AppError {
    /// Any error as an `AppError`; one that knows only what it is to gRPC, too.
    init(anyOf error: any Error) {
        switch error {
        case let error as any RPCErrorConvertible where !(error is any AppErrorConvertible):
            self = RPCError(error).appError
        default: self.init(wrapping: error)
        }
    }
}

extension RPCError.Code {
    init(_ code: StatusCode) { self = Status.Code(rawValue: code.rawValue).flatMap(RPCError.Code.init) ?? .unknown }
}

extension ErrorDetails.BadRequest.FieldViolation {
    /// Fields are named as in Protocol Buffers: `items[2].name`, not `/items/2/name`.
    fileprivate init(_ failure: ValidationFailure) {
        var field = ""
        for step in failure.pointer.split(separator: "/") {
            if step.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) {
                field += "[\(step)]"
            } else {
                field += field.isEmpty ? "" : "."
                field += step.replacing("~1", with: "/").replacing("~0", with: "~")
            }
        }
        self.init(field: field, description: failure.message, reason: failure.code.uppercased(), localizedMessage: nil)
    }
}
