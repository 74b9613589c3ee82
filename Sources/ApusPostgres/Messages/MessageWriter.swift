import NIOCore

/// Writes a message into memory that was reserved for it. Integers are written in network byte order.
struct MessageWriter {
    private let memory: UnsafeMutableRawBufferPointer
    /// The number of bytes that were written.
    private(set) var count = 0

    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    mutating func write(_ integer: some FixedWidthInteger) {
        let size = MemoryLayout.size(ofValue: integer)
        precondition(count + size <= memory.count)
        memory.storeBytes(of: integer.bigEndian, toByteOffset: count, as: type(of: integer))
        count += size
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        precondition(count + bytes.count <= memory.count)
        UnsafeMutableRawBufferPointer(rebasing: memory[count..<count + bytes.count]).copyMemory(from: bytes)
        count += bytes.count
    }

    mutating func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0) } }

    mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
    }

    /// Writes an integer over what was written before.
    func replace(at position: Int, with integer: UInt32) {
        memory.storeBytes(of: integer.bigEndian, toByteOffset: position, as: UInt32.self)
    }
}

extension ByteBuffer {
    /// Appends a message.
    /// - Parameter size: The maximum number of bytes that the closure writes.
    mutating func write(upTo size: Int, _ body: (inout MessageWriter) -> Void) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: size) { memory in
            var writer = MessageWriter(memory)
            body(&writer)
            return writer.count
        }
    }
}
