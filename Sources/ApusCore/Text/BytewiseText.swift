// Text of protocols is taken apart by its bytes. Swift's `Character` would hide a delimiter with a combining mark after it:
// `"a=\u{301}b"` has no character `=`.

extension StringProtocol {
    /// Splits at an ASCII delimiter.
    package func split(
        at delimiter: Unicode.Scalar, maximumSplits: Int = .max, omittingEmpty: Bool = true
    ) -> [Substring] {
        Substring(self).utf8.split(
            separator: UInt8(ascii: delimiter), maxSplits: maximumSplits, omittingEmptySubsequences: omittingEmpty
        ).map { Substring($0) }
    }

    /// What is before the first occurrence of an ASCII delimiter, and what is after it; `nil` without one.
    package func cut(at delimiter: Unicode.Scalar) -> (before: Substring, after: Substring)? {
        let utf8 = Substring(self).utf8
        guard let index = utf8.firstIndex(of: UInt8(ascii: delimiter)) else { return nil }
        return (Substring(utf8[..<index]), Substring(utf8[utf8.index(after: index)...]))
    }

    /// Whether the first bytes are those of another text.
    package func starts(withBytesOf prefix: some StringProtocol) -> Bool { utf8.starts(with: prefix.utf8) }

    /// Whether the last bytes are those of another text.
    package func ends(withBytesOf suffix: some StringProtocol) -> Bool {
        utf8.count >= suffix.utf8.count && utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }

    /// Replaces each occurrence of ASCII characters.
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

    /// With the ASCII letters in lower case. `lowercased()` makes a `k` of the Kelvin sign, too.
    package var asciiLowercased: String {
        guard utf8.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) else {
            return String(self)
        }
        return String(
            decoding: utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
    }

    /// Without the blanks and tabs around it: the optional white space of fields (RFC 9110 §5.6.3).
    package var trimmed: Substring {
        var utf8 = Substring(self).utf8
        func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        while let first = utf8.first, isBlank(first) { utf8.removeFirst() }
        while let last = utf8.last, isBlank(last) { utf8.removeLast() }
        return Substring(utf8)
    }
}
