import ApusCore
import ApusHTTP
import FoundationEssentials
import GRPCCore
import HTTPTypes

extension Metadata {
    /// What a client says beside the call itself.
    /// - Throws: An `AppError` of code `internal` and reason `malformedCall` for a binary value that is not base64.
    init(_ headers: RequestHeaders) throws {
        self.init()
        try headers.forEach { field in if !field.isAboutCall { try add(field) } }
    }

    /// Adds a field, unless it is about the request itself.
    mutating func add(_ field: RequestHeaders.Field) throws {
        guard !field.isAboutRequest else { return }
        let name = field.name
        guard name.hasSuffix("-bin") else { return addString(field.value, forKey: name) }
        // Several may have been joined.
        for part in field.value.split(separator: ",", omittingEmptySubsequences: false) {
            addBinary(try Self.decode(part, of: name), forKey: name)
        }
    }

    /// With or without the padding at the end.
    private static func decode(_ text: Substring, of name: String) throws -> [UInt8] {
        var text = String(text.trimmed)
        while text.utf8.count % 4 != 0, !text.hasSuffix("==") { text += "=" }
        guard let data = Data(base64Encoded: text) else {
            throw AppError(.internal, "The value of \(name.prefix(64)) is not base64.", reason: .malformedCall)
        }
        return Array(data)
    }
}

extension RequestHeaders.Field {
    fileprivate var isAboutRequest: Bool {
        switch nameCount {
        case 2: isNamed("te")
        case 14: isNamed("content-length")
        default: false
        }
    }

    /// What gRPC says of the call is not the service's.
    fileprivate var isAboutCall: Bool {
        switch nameCount {
        case 12: isNamed("content-type") || isNamed("grpc-timeout")
        case 13: isNamed("grpc-encoding")
        case 20: isNamed("grpc-accept-encoding")
        default: false
        }
    }
}

extension HTTPFields {
    /// Adds what a service says beside its messages. What is not HTTP's to send is left out, and so is what is gRPC's own.
    mutating func add(_ metadata: Metadata) {
        for (key, value) in metadata {
            guard let name = HTTPField.Name(key), name.isService else {
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
    /// Whether a service may say it: what is about the message or the connection is HTTP's, and what begins with `grpc-` is
    /// gRPC's own, but for what is read here.
    fileprivate var isService: Bool {
        switch canonicalName {
        case "content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive",
            "proxy-connection", "upgrade", "te", "trailer", "host", "date":
            false
        default: !canonicalName.hasPrefix("grpc-") || canonicalName == MessageEncoding.acceptKey
        }
    }
}
