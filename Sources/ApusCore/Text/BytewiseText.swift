// Protocol text is parsed by its bytes. A delimiter followed by a combining mark is a different Swift `Character`:
// `"a=\u{301}b"` has no character `=`.

extension StringProtocol {
    /// Splits the text at an ASCII delimiter.
    package func split(
        at delimiter: Unicode.Scalar, maximumSplits: Int = .max, omittingEmpty: Bool = true
    ) -> [Substring] {
        Substring(self).utf8.split(
            separator: UInt8(ascii: delimiter), maxSplits: maximumSplits, omittingEmptySubsequences: omittingEmpty
        ).map { Substring($0) }
    }

    /// Returns the text before and after the first occurrence of an ASCII delimiter, or `nil` if there is none.
    package func cut(at delimiter: Unicode.Scalar) -> (before: Substring, after: Substring)? {
        let utf8 = Substring(self).utf8
        guard let index = utf8.firstIndex(of: UInt8(ascii: delimiter)) else { return nil }
        return (Substring(utf8[..<index]), Substring(utf8[utf8.index(after: index)...]))
    }

    /// Returns whether the UTF-8 encoding starts with that of another text.
    package func starts(withBytesOf prefix: some StringProtocol) -> Bool { utf8.starts(with: prefix.utf8) }

    /// Returns whether the UTF-8 encoding ends with that of another text.
    package func ends(withBytesOf suffix: some StringProtocol) -> Bool {
        utf8.count >= suffix.utf8.count && utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }

    /// Returns whether the UTF-8 encoding contains that of another text.
    package func contains(bytesOf text: some StringProtocol) -> Bool {
        guard let first = text.utf8.first else { return true }
        var rest = Substring(self).utf8
        while let index = rest.firstIndex(of: first) {
            rest = rest[index...]
            if rest.starts(with: text.utf8) { return true }
            rest.removeFirst()
        }
        return false
    }

    /// Returns the text with each occurrence of the given ASCII characters replaced.
    package func replacing(_ replacements: KeyValuePairs<Unicode.Scalar, String>) -> String {
        var result = ""
        result.reserveCapacity(utf8.count)
        for scalar in unicodeScalars {
            if let replacement = replacements.first(where: { $0.key == scalar }) {
                result += replacement.value
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// The text with its ASCII letters in lower case. `lowercased()` also maps characters such as the Kelvin sign to
    /// ASCII letters.
    package var asciiLowercased: String {
        guard utf8.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) else {
            return String(self)
        }
        return String(
            decoding: utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// The text without leading and trailing spaces and tabs, the optional white space of fields (RFC 9110 §5.6.3).
    package var trimmed: Substring {
        var utf8 = Substring(self).utf8
        func isWhiteSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        while let first = utf8.first, isWhiteSpace(first) { utf8.removeFirst() }
        while let last = utf8.last, isWhiteSpace(last) { utf8.removeLast() }
        return Substring(utf8)
    }
}
