import NIOCore

/// The first message of a TLS client (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2), as far as it concerns the application
/// protocols that the client offers.
enum ClientHello {
    enum Outcome: Equatable {
        case incomplete
        /// The names of the protocols in the ALPN extension (RFC 7301 §3.1); `nil` if there is no such extension.
        case offer([[UInt8]]?)
        /// The bytes are no ClientHello, or a malformed one.
        case unreadable
    }

    /// The maximum size of the message in bytes, as in BoringSSL.
    private static let maximumLength = 16_384
    /// The maximum number of records that the message may be split into. Clients use one, or two for large keys.
    private static let maximumRecords = 8
    private static let maximumRecordLength = 16_384
    private static let recordHeadLength = 5
    private static let handshakeRecord: UInt8 = 22
    private static let clientHello: UInt32 = 1
    private static let protocolsExtension: UInt16 = 16

    /// Reads the bytes from the beginning of a connection.
    static func read(_ bytes: ByteBuffer) -> Outcome {
        var records = bytes
        var message = ByteBuffer()
        for _ in 0..<maximumRecords {
            let start = records.readerIndex
            guard let type = records.getInteger(at: start, as: UInt8.self) else { return .incomplete }
            guard type == handshakeRecord else { return .unreadable }
            guard let length = records.getInteger(at: start + 3, as: UInt16.self).map(Int.init) else {
                return .incomplete
            }
            guard length > 0, length <= maximumRecordLength else { return .unreadable }
            records.moveReaderIndex(forwardBy: recordHeadLength)
            let available = min(length, records.readableBytes)
            guard var fragment = records.readSlice(length: available) else { return .incomplete }
            message.writeBuffer(&fragment)
            if let outcome = readMessage(message) { return outcome }
            guard available == length else { return .incomplete }
        }
        return .unreadable
    }

    /// Returns `nil` if the message is incomplete.
    private static func readMessage(_ bytes: ByteBuffer) -> Outcome? {
        var bytes = bytes
        guard let head = bytes.readInteger(as: UInt32.self) else { return nil }
        let length = Int(head & 0xFF_FFFF)
        guard head >> 24 == clientHello, length <= maximumLength else { return .unreadable }
        guard var message = bytes.readSlice(length: length) else { return nil }
        // The version, the random bytes, the session, the cipher suites and the compression methods.
        guard message.readSlice(length: 2 + 32) != nil, message.readLengthPrefixedSlice(as: UInt8.self) != nil,
            message.readLengthPrefixedSlice(as: UInt16.self) != nil,
            message.readLengthPrefixedSlice(as: UInt8.self) != nil
        else { return .unreadable }
        guard message.readableBytes > 0 else { return .offer(nil) }
        guard let extensions = message.readLengthPrefixedSlice(as: UInt16.self) else { return .unreadable }
        return readExtensions(extensions)
    }

    private static func readExtensions(_ bytes: ByteBuffer) -> Outcome {
        var bytes = bytes
        while bytes.readableBytes > 0 {
            guard let type = bytes.readInteger(as: UInt16.self),
                var value = bytes.readLengthPrefixedSlice(as: UInt16.self)
            else { return .unreadable }
            guard type == protocolsExtension else { continue }
            guard let names = value.readLengthPrefixedSlice(as: UInt16.self) else { return .unreadable }
            return readNames(names)
        }
        return .offer(nil)
    }

    private static func readNames(_ bytes: ByteBuffer) -> Outcome {
        var bytes = bytes
        var names: [[UInt8]] = []
        while bytes.readableBytes > 0 {
            guard let name = bytes.readLengthPrefixedSlice(as: UInt8.self) else { return .unreadable }
            names.append(Array(name.readableBytesView))
        }
        return .offer(names)
    }
}
