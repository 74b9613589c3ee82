import ApusHTTP
import GRPCCore
import HTTPTypes
import NIOCore

extension WireFormat {
    private static let headFields: HTTPFields = [.contentType: WireFormat.grpc.contentType]
    private static let okFields: HTTPFields = [.grpcStatus: "0"]

    /// The fields before the messages.
    func head(_ metadata: Metadata, encoding: MessageEncoding) -> HTTPFields {
        var fields = self == .grpc ? Self.headFields : [.contentType: contentType]
        if encoding != .identity { fields[.grpcEncoding] = encoding.rawValue }
        if !metadata.isEmpty { fields.add(metadata) }
        return fields
    }

    /// The fields of a call that went well.
    func ok(_ metadata: Metadata) -> HTTPFields {
        guard !metadata.isEmpty else { return Self.okFields }
        var fields = Self.okFields
        fields.add(metadata)
        return fields
    }

    /// A response of one message.
    /// - Parameter message: With its prefix.
    func response(_ message: ByteBuffer, head: HTTPFields, trailers: HTTPFields) -> Response {
        guard self != .grpc else {
            var response = Response(status: .ok, headers: head, body: .bytes(message))
            response.delivery = .trailers(trailers)
            return response
        }
        var body = message
        body.writeImmutableBuffer(Self.message(of: trailers))
        return Response(status: .ok, headers: head, body: .bytes(piece(body)))
    }

    /// A response without messages: an error.
    func response(_ status: GRPCStatus) -> Response {
        var fields: HTTPFields = [.contentType: contentType]
        fields.append(contentsOf: status.fields)
        return Response(status: .ok, headers: fields)
    }

    /// Bytes of a body as they are sent.
    func piece(_ bytes: ByteBuffer) -> ByteBuffer { self == .webText ? Base64Text.encode(bytes) : bytes }

    /// The fields after the messages as gRPC-Web's last message, whose first byte has its highest bit set.
    static func message(of trailers: HTTPFields) -> ByteBuffer {
        var text = ByteBuffer()
        for field in trailers { text.writeString("\(field.name.canonicalName): \(field.value)\r\n") }
        var message = ByteBuffer()
        message.writeInteger(0x80 as UInt8)
        message.writeInteger(UInt32(text.readableBytes))
        message.writeBuffer(&text)
        return message
    }
}
