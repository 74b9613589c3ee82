extension JSON {
    /// An error for a document that is not valid JSON (RFC 8259) or exceeds a limit.
    public struct SyntaxError: Error, Hashable, CustomStringConvertible {
        /// What is wrong and what was expected, as a sentence without the position.
        public let reason: String
        /// The line, counted from 1.
        public let line: Int
        /// The column in bytes, counted from 1.
        public let column: Int
        /// The offset in the document in bytes, counted from 0.
        public let offset: Int
        /// The JSON Pointer (RFC 6901) of the value that was being parsed. Empty for the top-level value.
        public let path: String

        public var description: String {
            "\(reason) (line \(line), column \(column)\(path.isEmpty ? "" : ", at \(path)"))"
        }
    }
}

/// Returns the line and column of a byte, both counted from 1.
func position(of offset: Int, in bytes: UnsafeBufferPointer<UInt8>) -> (line: Int, column: Int) {
    var line = 1
    var start = 0
    for index in 0..<min(offset, bytes.count) where bytes[index] == UInt8(ascii: "\n") {
        line += 1
        start = index + 1
    }
    return (line, offset - start + 1)
}
