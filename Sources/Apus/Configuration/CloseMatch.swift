/// Finds the name that a misspelled one was probably meant to be.
enum CloseMatch {
    /// Returns the sentence that suggests a name, with a space in front; empty if none is close.
    static func suggestion(for word: String, among names: [String], prefix: String = "") -> String {
        name(for: word, among: names).map { " Did you mean \(prefix)\($0)?" } ?? ""
    }

    /// Returns the most similar name; `nil` if more than a third of the word would have to change.
    private static func name(for word: String, among names: [String]) -> String? {
        let bytes = Array(word.utf8)
        let changes = names.map { (name: $0, count: Self.changes(from: bytes, to: Array($0.utf8))) }
        guard let best = changes.min(by: { $0.count < $1.count }), best.count * 3 <= bytes.count else { return nil }
        return best.name
    }

    /// Returns the number of bytes to insert, remove or replace (the Levenshtein distance).
    private static func changes(from old: [UInt8], to new: [UInt8]) -> Int {
        var row = Array(0...new.count)
        for (index, byte) in old.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in new.indices {
                let replaced = diagonal + (byte == new[column] ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[new.count]
    }
}
