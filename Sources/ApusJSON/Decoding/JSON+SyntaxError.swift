extension JSON {
    /// Why bytes are not JSON (RFC 8259), or exceed a limit.
    public struct SyntaxError: Error, Hashable, CustomStringConvertible {
        /// What is wrong and what would be right, as a sentence without a place.
        public let reason: String
        /// Counted from 1.
        public let line: Int
        /// In bytes of the line, counted from 1.
        public let column: Int
        /// In bytes of the document, counted from 0.
        public let offset: Int
        /// The JSON pointer (RFC 6901) of the value that was being read. Empty for the document itself.
        public let path: String

        public var description: String {
            "\(reason) At line \(line), column \(column)\(path.isEmpty ? "" : ", in \(path)")."
        }
    }
}

/// Line and column of a byte, both counted from 1.
func position(of offset: Int, in bytes: UnsafeBufferPointer<UInt8>) -> (line: Int, column: Int) {
    var line = 1
    var start = 0
    for index in 0..<min(offset, bytes.count) where bytes[index] == UInt8(ascii: "\n") {
        line += 1
        start = index + 1
    }
    return (line, offset - start + 1)
}
