import NIOCore

/// Cuts the bytes of one side of a connection into messages.
struct MessageFramer {
    /// What begins the connection of a client has no type.
    private var isTyped: Bool
    /// The server answers a request for encryption with a single byte.
    var expectsSingleByte = false
    private(set) var isTLSRequest = false
    private var bytes = ByteBuffer()

    private static let tlsRequestCode: UInt32 = 80_877_103

    init(of side: Fault.Side) { isTyped = side == .server }

    mutating func append(_ more: ByteBuffer) { bytes.writeImmutableBuffer(more) }

    /// Returns the next message, or `nil` if it has not arrived completely.
    mutating func next() -> ByteBuffer? {
        if expectsSingleByte, bytes.readableBytes > 0 {
            expectsSingleByte = false
            return bytes.readSlice(length: 1)
        }
        let typeLength = isTyped ? 1 : 0
        guard let length = bytes.getInteger(at: bytes.readerIndex + typeLength, as: UInt32.self),
            let message = bytes.readSlice(length: typeLength + Int(length))
        else { return nil }
        let code = message.getInteger(at: message.readerIndex + 4, as: UInt32.self)
        isTLSRequest = !isTyped && code == Self.tlsRequestCode
        if !isTLSRequest { isTyped = true }
        return message
    }
}
