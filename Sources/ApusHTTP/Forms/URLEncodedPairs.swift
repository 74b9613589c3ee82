import ApusCore

/// A parser of the names and values of a query or a form (the URL standard, §5.1). It splits by bytes, because a delimiter
/// followed by a combining mark is a different `Character`.
enum URLEncodedPairs {
    /// Parses the pairs.
    /// - Parameter source: The source of the text, "query" or "form", for the error.
    /// - Throws: An `AppError` with code `invalidArgument` if the text is not valid percent-encoded UTF-8.
    static func read(_ text: some StringProtocol, of source: String) throws -> [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        let text = Substring(text)
        for pair in text.utf8.split(separator: UInt8(ascii: "&")) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            guard let name = PercentEncoding.decode(Substring(pair[..<equals]), plusIsSpace: true),
                let value = PercentEncoding.decode(Substring(pair[equals...].dropFirst()), plusIsSpace: true)
            else { throw AppError(.invalidArgument, "The \(source) is not valid percent-encoded UTF-8.") }
            pairs.append((name, value))
        }
        return pairs
    }
}
