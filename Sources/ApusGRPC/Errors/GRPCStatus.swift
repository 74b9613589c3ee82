public import ApusCore
import ApusHTTP
public import GRPCCore
import GRPCProtobuf
import HTTPTypes

/// The status that a gRPC client receives for an error.
struct GRPCStatus {
    let code: Int
    let message: String
    let metadata: Metadata
    /// The serialized `google.rpc.Status`; `nil` if there are no details beyond code and message.
    let details: [UInt8]?

    // Clients and intermediaries limit the size of trailers, so longer messages and details are truncated or dropped.
    private static let maximumMessageBytes = 1024
    private static let maximumViolations = 32
    private static let maximumDetailBytes = 4096

    /// Creates a status with the parts of an error that a client may see.
    /// - Parameters:
    ///   - thrown: The error. A thrown `RPCError` keeps its metadata and details; one that is only the cause of an
    ///     `AppError` does not.
    ///   - domain: The domain of error reasons, such as the app's name.
    ///   - requestID: The request ID that appears in the log.
    init(_ thrown: any Error, domain: String, requestID: String) {
        let error = AppError(converting: thrown)
        let isRPCError =
            thrown is RPCError || (thrown is any RPCErrorConvertible && !(thrown is any AppErrorConvertible))
        let rpcError = isRPCError ? error.cause as? RPCError : nil
        code = error.grpcCode.rawValue
        message = Self.cut(error.message, to: Self.maximumMessageBytes)
        var metadata = rpcError?.metadata ?? [:]
        if error.details.reason == .unknownEncoding {
            // Lists the supported encodings, so that the client can choose one (gRPC compression specification).
            metadata.addString(MessageEncoding.accepted, forKey: MessageEncoding.acceptKey)
        }
        self.metadata = metadata
        var details: [ErrorDetails] = []
        if let reason = error.details.reason {
            details.append(.errorInfo(reason: reason.description, domain: domain, metadata: error.details.metadata))
        }
        if !error.details.failures.isEmpty {
            details.append(
                .badRequest(violations: error.details.failures.prefix(Self.maximumViolations).map { .init($0) }))
        }
        if let delay = error.details.retryAfter { details.append(.retryInfo(delay: delay)) }
        if !details.isEmpty, !requestID.isEmpty { details.append(.requestInfo(requestID: requestID, servingData: "")) }
        let own = rpcError?.metadata[binaryValues: HTTPField.Name.grpcStatusDetails.canonicalName].first { _ in true }
        self.details = details.isEmpty ? own : Self.bytes(of: details, error, message)
    }

    /// Returns the serialized `google.rpc.Status`, without the largest details if it would be too large.
    private static func bytes(of details: [ErrorDetails], _ error: AppError, _ message: String) -> [UInt8]? {
        func bytes(_ details: [ErrorDetails]) -> [UInt8]? {
            try? GoogleRPCStatus(code: RPCError.Code(error.grpcCode), message: message, details: details)
                .serializedBytes()
        }
        let all = bytes(details)
        guard let all, all.count > maximumDetailBytes else { return all }
        let short = bytes(details.filter { $0.badRequest == nil })
        return short.flatMap { $0.count > maximumDetailBytes ? bytes([]) : $0 }
    }

    /// The header fields or trailers that carry the status.
    var fields: HTTPFields {
        var fields: HTTPFields = [.grpcStatus: String(code)]
        if !message.isEmpty { fields[.grpcMessage] = Self.percentEncoded(message) }
        if let details { fields[.grpcStatusDetails] = HTTPFields.base64(details) }
        fields.add(metadata)
        return fields
    }

    /// Percent-encodes `%` and all bytes except printable ASCII (gRPC over HTTP/2, Status-Message).
    static func percentEncoded(_ text: String) -> String {
        let last = text.utf8.count - 1
        // The white space around the value of a field is not part of it (RFC 9110 §5.5).
        func isUnencoded(_ byte: UInt8, at index: Int) -> Bool {
            Self.isUnencoded(byte) && (byte != UInt8(ascii: " ") || index > 0 && index < last)
        }
        guard !text.utf8.enumerated().allSatisfy({ isUnencoded($0.element, at: $0.offset) }) else { return text }
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for (index, byte) in text.utf8.enumerated() {
            if isUnencoded(byte, at: index) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Returns the longest beginning of a text within a size in UTF-8 that ends between characters, or at least between
    /// scalars.
    private static func cut(_ text: String, to limit: Int) -> String {
        guard text.utf8.count > limit else { return text }
        var count = 0
        let characters: Substring = text.prefix { character in
            count += character.utf8.count
            return count <= limit
        }
        guard characters.isEmpty else { return String(characters) }
        count = 0
        let scalars: Substring.UnicodeScalarView = text.unicodeScalars.prefix { scalar in
            count += UTF8.width(scalar)
            return count <= limit
        }
        return String(scalars)
    }

    private static func isUnencoded(_ byte: UInt8) -> Bool { byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "%") }
}

extension RPCError: AppErrorConvertible {
    /// The `AppError` with the same code, which also determines the HTTP status.
    public var appError: AppError { AppError(StatusCode(rawValue: code.rawValue) ?? .unknown, message, cause: self) }
}

extension AppError {
    /// Creates an `AppError` from any error, including errors that only conform to `RPCErrorConvertible`.
    init(converting error: any Error) {
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
    /// Creates a violation with a field path in Protocol Buffers notation: `items[2].name` instead of `/items/2/name`.
    fileprivate init(_ failure: ValidationFailure) {
        var field = ""
        for step in failure.pointer.split(at: "/") {
            if step.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) {
                field += "[\(step)]"
            } else {
                field += field.isEmpty ? "" : "."
                field += Self.unescaped(step)
            }
        }
        self.init(field: field, description: failure.message, reason: failure.code.uppercased(), localizedMessage: nil)
    }

    /// Replaces the escape sequences of a JSON pointer (RFC 6901 §4).
    private static func unescaped(_ step: Substring) -> String {
        let parts = step.split(at: "~", omittingEmpty: false)
        return parts.dropFirst().reduce(into: String(parts.first ?? "")) { text, part in
            switch part.utf8.first {
            case UInt8(ascii: "0"): text += "~\(Substring(part.utf8.dropFirst()))"
            case UInt8(ascii: "1"): text += "/\(Substring(part.utf8.dropFirst()))"
            default: text += "~\(part)"
            }
        }
    }
}
