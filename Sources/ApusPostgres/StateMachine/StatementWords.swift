/// The first words of a statement.
enum StatementWords {
    /// Returns the words at the beginning, in upper case. Something else than a word ends them.
    ///
    /// White space, comments and empty statements between them are skipped, as the server does.
    static func first(_ count: Int, of sql: String) -> [String] {
        var rest = sql.utf8[...]
        var words: [String] = []
        while words.count < count {
            while skip(&rest) {}
            let word = rest.prefix { isLetter($0) }
            guard !word.isEmpty else { break }
            words.append(String(decoding: word, as: UTF8.self).uppercased())
            rest.removeFirst(word.count)
        }
        return words
    }

    /// Skips one thing that is not part of the statement.
    private static func skip(_ rest: inout Substring.UTF8View) -> Bool {
        switch rest.first {
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: ";"), 0x0B,
            0x0C:
            rest.removeFirst()
            return true
        case UInt8(ascii: "-") where rest.starts(with: "--".utf8):
            rest = rest.drop { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
            return true
        case UInt8(ascii: "/") where rest.starts(with: "/*".utf8):
            skipComment(&rest)
            return true
        default: return false
        }
    }

    /// Skips a comment, in which there may be others.
    private static func skipComment(_ rest: inout Substring.UTF8View) {
        var depth = 0
        repeat {
            if rest.starts(with: "/*".utf8) {
                depth += 1
                rest.removeFirst(2)
            } else if rest.starts(with: "*/".utf8) {
                depth -= 1
                rest.removeFirst(2)
            } else if rest.popFirst() == nil {
                return
            }
        } while depth > 0
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }
}
