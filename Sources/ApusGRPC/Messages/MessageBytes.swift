public import GRPCCore
import NIOCore
public import SwiftProtobuf

/// The bytes of one message. One that is made here has room before them for what gRPC writes there, so that it goes out
/// without a copy.
@usableFromInline
struct MessageBytes: Sendable {
    /// What gRPC writes before a message: whether it is compressed, and its length.
    static let prefixLength = 5

    private var buffer: ByteBuffer
    /// Whether the room is there, before the reader index.
    private let hasRoom: Bool

    /// A message that came.
    init(received bytes: ByteBuffer) {
        buffer = bytes
        hasRoom = false
    }

    /// Without its prefix.
    var bytes: ByteBuffer { buffer }

    /// With its prefix, as it is sent.
    func framed() -> ByteBuffer {
        guard hasRoom else { return Self.frame(buffer, isCompressed: false) }
        var framed = buffer
        framed.moveReaderIndex(to: 0)
        return framed
    }

    /// Bytes with a prefix before them.
    static func frame(_ bytes: ByteBuffer, isCompressed: Bool) -> ByteBuffer {
        var framed = ByteBufferAllocator().buffer(capacity: prefixLength + bytes.readableBytes)
        framed.writeInteger(isCompressed ? 1 : 0 as UInt8)
        framed.writeInteger(UInt32(bytes.readableBytes))
        framed.writeImmutableBuffer(bytes)
        return framed
    }

    private static func room(for count: Int) -> ByteBuffer {
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
        buffer = Self.room(for: count)
        buffer.writeRepeatingByte(byte, count: count)
        hasRoom = true
    }

    @usableFromInline
    init(_ sequence: some Sequence<UInt8>) {
        let bytes = Array(sequence)
        buffer = Self.room(for: bytes.count)
        buffer.writeBytes(bytes)
        hasRoom = true
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
