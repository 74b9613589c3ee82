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
        try headers.forEach { name, value in
            guard !Self.isReserved(name) else { return }
            guard name.hasSuffix("-bin") else { return addString(value, forKey: name) }
            // Several may have been joined.
            for part in value.split(separator: ",", omittingEmptySubsequences: false) {
                addBinary(try Self.decode(part, of: name), forKey: name)
            }
        }
    }

    /// What HTTP and gRPC say to each other is not the service's.
    private static func isReserved(_ name: String) -> Bool {
        switch name {
        case "te", "content-type", "content-length", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding": true
        default: false
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

extension HTTPFields {
    /// Adds what a service says beside its messages. What is not HTTP's to send is left out, and so is what is gRPC's own.
    mutating func add(_ metadata: Metadata) {
        for (key, value) in metadata {
            guard let name = HTTPField.Name(key), !key.lowercased().hasPrefix("grpc-"), name != .contentType else {
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
