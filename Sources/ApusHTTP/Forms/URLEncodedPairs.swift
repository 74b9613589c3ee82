import ApusCore

/// The names and values of a query or a form (the URL standard, §5.1). Delimiters are bytes: what combines with one in Swift's
/// characters does not hide it.
enum URLEncodedPairs {
    /// - Parameter what: What is read, for the error.
    /// - Throws: An `AppError` of code `invalidArgument` for what is not valid percent-encoded UTF-8.
    static func read(_ text: some StringProtocol, of what: String) throws -> [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        let text = Substring(text)
        for pair in text.utf8.split(separator: UInt8(ascii: "&")) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            guard let name = PercentEncoding.decode(Substring(pair[..<equals]), plusIsSpace: true),
                let value = PercentEncoding.decode(Substring(pair[equals...].dropFirst()), plusIsSpace: true)
            else { throw AppError(.invalidArgument, "The \(what) is not valid percent-encoded UTF-8.") }
            pairs.append((name, value))
        }
        return pairs
    }
}
