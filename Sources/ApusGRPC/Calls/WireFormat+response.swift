import ApusHTTP
import GRPCCore
import HTTPTypes
import NIOCore

extension WireFormat {
    private static let headFields: HTTPFields = [.contentType: WireFormat.grpc.contentType]
    private static let okFields: HTTPFields = [.grpcStatus: "0"]

    /// Returns the header fields of a response.
    func head(_ metadata: Metadata, encoding: MessageEncoding) -> HTTPFields {
        var fields = self == .grpc ? Self.headFields : [.contentType: contentType]
        if encoding != .identity { fields[.grpcEncoding] = encoding.rawValue }
        if !metadata.isEmpty { fields.add(metadata) }
        return fields
    }

    /// Returns the trailers of a successful call.
    func okTrailers(_ metadata: Metadata) -> HTTPFields {
        guard !metadata.isEmpty else { return Self.okFields }
        var fields = Self.okFields
        fields.add(metadata)
        return fields
    }

    /// Returns a response with one message.
    /// - Parameter message: The message with its prefix.
    func response(_ message: ByteBuffer, head: HTTPFields, trailers: HTTPFields) -> Response {
        guard self != .grpc else {
            var response = Response(status: .ok, headers: head, body: .bytes(message))
            response.delivery = .trailers(trailers)
            return response
        }
        var body = message
        body.writeImmutableBuffer(Self.trailerFrame(trailers))
        return Response(status: .ok, headers: head, body: .bytes(encode(body)))
    }

    /// Returns an error response, which has no messages (Trailers-Only).
    func response(_ status: GRPCStatus) -> Response {
        var fields: HTTPFields = [.contentType: contentType]
        fields.append(contentsOf: status.fields)
        return Response(status: .ok, headers: fields)
    }

    /// Returns body bytes as they are sent, which is in base64 for `webText`.
    func encode(_ bytes: ByteBuffer) -> ByteBuffer { self == .webText ? Base64Text.encode(bytes) : bytes }

    /// Returns the trailer frame of gRPC-Web: a last message whose flag byte has its highest bit set.
    static func trailerFrame(_ trailers: HTTPFields) -> ByteBuffer {
        var text = ByteBuffer()
        for field in trailers { text.writeString("\(field.name.canonicalName): \(field.value)\r\n") }
        var frame = ByteBuffer()
        frame.writeInteger(0x80 as UInt8)
        frame.writeInteger(UInt32(text.readableBytes))
        frame.writeBuffer(&text)
        return frame
    }
}
