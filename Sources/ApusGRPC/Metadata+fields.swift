import ApusCore
import ApusHTTP
import FoundationEssentials
import GRPCCore
import HTTPTypes

extension Metadata {
    /// Creates metadata from the custom fields of a request.
    /// - Throws: An `AppError` with code `invalidArgument` and reason `malformedCall` if a binary value is not valid base64.
    init(_ headers: RequestHeaders) throws {
        self.init()
        try headers.forEach { field in if !field.isReserved { try add(field) } }
    }

    /// Adds a field unless it belongs to the HTTP request itself.
    mutating func add(_ field: RequestHeaders.Field) throws {
        guard !field.isTransportField else { return }
        let name = field.name
        guard name.hasSuffix("-bin") else { return addString(field.value, forKey: name) }
        // Several values may have been joined with commas.
        for part in field.value.split(at: ",", omittingEmpty: false) {
            addBinary(try Self.decode(part, of: name), forKey: name)
        }
    }

    /// Decodes base64 with or without padding (RFC 4648 §4).
    private static func decode(_ text: Substring, of name: String) throws -> [UInt8] {
        var digits = text.trimmed.utf8
        if digits.count % 4 == 0 {
            for _ in 0..<2 where digits.last == UInt8(ascii: "=") { digits.removeLast() }
        }
        // Foundation also accepts padding in other places.
        let padding = String(repeating: "=", count: (4 - digits.count % 4) % 4)
        guard digits.count % 4 != 1, digits.allSatisfy(isBase64Digit),
            let data = Data(base64Encoded: String(Substring(digits)) + padding)
        else {
            throw AppError(
                .invalidArgument, "The value of \(name.prefix(64)) is not valid base64.", reason: .malformedCall)
        }
        return Array(data)
    }

    private static func isBase64Digit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}

extension RequestHeaders.Field {
    fileprivate var isTransportField: Bool {
        switch nameCount {
        case 2: isNamed("te")
        case 14: isNamed("content-length")
        default: false
        }
    }

    /// Whether the field is part of the gRPC call definition rather than custom metadata.
    fileprivate var isReserved: Bool {
        switch nameCount {
        case 12: isNamed("content-type") || isNamed("grpc-timeout")
        case 13: isNamed("grpc-encoding")
        case 20: isNamed("grpc-accept-encoding")
        default: false
        }
    }
}

extension HTTPFields {
    /// Adds a service's metadata, except for keys that are not valid field names or that HTTP or gRPC reserves.
    mutating func add(_ metadata: Metadata) {
        for (key, value) in metadata {
            guard let name = HTTPField.Name(key), name.isAllowedInMetadata else {
                continue
            }
            switch value {
            case .string(let text): append(HTTPField(name: name, value: text))
            case .binary(let bytes): append(HTTPField(name: name, value: Self.base64(bytes)))
            }
        }
    }

    static func base64(_ bytes: [UInt8]) -> String {
        var text = Data(bytes).base64EncodedString()
        while text.hasSuffix("=") { text.removeLast() }
        return text
    }
}

extension HTTPField.Name {
    /// Whether a service may set the field. Fields about the message or the connection belong to HTTP. Names that start with
    /// `grpc-` belong to gRPC, except for the list of accepted encodings.
    fileprivate var isAllowedInMetadata: Bool {
        switch canonicalName {
        case "content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive",
            "proxy-connection", "upgrade", "te", "trailer", "host", "date":
            false
        default: !canonicalName.hasPrefix("grpc-") || canonicalName == MessageEncoding.acceptKey
        }
    }
}
