public import GRPCCore
import NIOCore
public import SwiftProtobuf

/// The bytes of one message.
///
/// The buffer of an outgoing message starts with the gRPC prefix, so that the message can be sent without a copy.
@usableFromInline
struct MessageBytes: Sendable {
    /// The length of the prefix of a message: the compressed flag and the message length.
    static let prefixLength = 5

    private var buffer: ByteBuffer
    /// Whether the prefix has been written before the reader index.
    private let hasPrefix: Bool

    /// Creates an incoming message.
    init(received bytes: ByteBuffer) {
        buffer = bytes
        hasPrefix = false
    }

    /// The message without its prefix.
    var bytes: ByteBuffer { buffer }

    /// Returns the uncompressed message with its prefix.
    func framed() -> ByteBuffer {
        guard hasPrefix else { return Self.frame(buffer, isCompressed: false) }
        var framed = buffer
        framed.moveReaderIndex(to: 0)
        return framed
    }

    /// Returns the given bytes with a prefix.
    static func frame(_ bytes: ByteBuffer, isCompressed: Bool) -> ByteBuffer {
        var framed = ByteBufferAllocator().buffer(capacity: prefixLength + bytes.readableBytes)
        framed.writeInteger(isCompressed ? 1 : 0 as UInt8)
        framed.writeInteger(UInt32(bytes.readableBytes))
        framed.writeImmutableBuffer(bytes)
        return framed
    }

    /// Returns a buffer that holds the prefix of a message of `count` bytes.
    private static func prefixedBuffer(for count: Int) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: prefixLength + count)
        buffer.writeInteger(0 as UInt8)
        buffer.writeInteger(UInt32(count))
        buffer.moveReaderIndex(forwardBy: prefixLength)
        return buffer
    }
}

extension MessageBytes: GRPCContiguousBytes, SwiftProtobufContiguousBytes {
    @usableFromInline
    init(repeating byte: UInt8, count: Int) {
        buffer = Self.prefixedBuffer(for: count)
        buffer.writeRepeatingByte(byte, count: count)
        hasPrefix = true
    }

    @usableFromInline
    init(_ sequence: some Sequence<UInt8>) {
        let bytes = Array(sequence)
        buffer = Self.prefixedBuffer(for: bytes.count)
        buffer.writeBytes(bytes)
        hasPrefix = true
    }

    @usableFromInline
    var count: Int { buffer.readableBytes }

    @usableFromInline
    func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try buffer.withUnsafeReadableBytes(body)
    }

    @usableFromInline
    mutating func withUnsafeMutableBytes<Result>(
        _ body: (UnsafeMutableRawBufferPointer) throws -> Result
    ) rethrows -> Result {
        try buffer.withUnsafeMutableReadableBytes(body)
    }
}
