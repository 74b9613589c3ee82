import ApusHTTP
import HTTPTypes

// Queries, forms and cookies are split at bytes: a combining mark after a delimiter makes it another `Character`, but does
// not hide it. The same text is parsed here from an array of its bytes.

extension FuzzTarget {
    /// A query yields the pairs of its bytes.
    static func checkQuery(_ text: String) {
        guard let items = try? Request(method: .get, target: "/?" + text).queryItems() else { return }
        let pairs = Array(text.utf8).split(separator: UInt8(ascii: "&"))
        precondition(items.count == pairs.count, "The query has \(pairs.count) pairs.")
        for (item, pair) in zip(items, pairs) {
            let name = pair.prefix { $0 != UInt8(ascii: "=") }
            precondition(item.name.utf8.elementsEqual(decoded(name)), "A name differs from its bytes.")
            precondition(
                item.value.utf8.elementsEqual(decoded(pair.dropFirst(name.count + 1))),
                "A value differs from its bytes.")
        }
    }

    /// A cookie has the value of the first pair with its name.
    static func checkCookie(_ text: String) {
        guard HTTPField.isValidValue(text) else { return }
        let found = Request(method: .get, target: "/", headers: [.cookie: text]).cookie("a")
        let values = Array(text.utf8).split(separator: UInt8(ascii: ";")).compactMap(valueOfA)
        precondition(found.map { Array($0.utf8) } == values.first, "The cookie differs from its bytes.")
    }

    /// Returns the value of a pair with the name `a`.
    private static func valueOfA(_ pair: ArraySlice<UInt8>) -> [UInt8]? {
        let trimmed = pair.drop(while: isWhiteSpace)
        guard trimmed.starts(with: "a=".utf8) else { return nil }
        var value = trimmed.dropFirst(2)
        while let last = value.last, isWhiteSpace(last) { value.removeLast() }
        let quote = UInt8(ascii: "\"")
        return Array(
            value.count >= 2 && value.first == quote && value.last == quote ? value.dropFirst().dropLast() : value)
    }

    private static func isWhiteSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

    /// Decodes the percent-encoded bytes of a query, of which the parser has found that they are valid.
    private static func decoded(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): result.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                result.append(UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) ?? 0)
                rest = rest.dropFirst(2)
            default: result.append(byte)
            }
        }
        return result
    }
}
