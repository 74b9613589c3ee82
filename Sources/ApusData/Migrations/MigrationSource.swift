/// The statements of a migration in a form that is the same on every engine, to notice when they are edited.
struct MigrationSource: Sendable {
    /// The text of each statement, with its values.
    let statements: [String]
    /// The FNV-1a hash of the texts and the values. It detects edited migrations, but is not a protection against
    /// tampering.
    let checksum: String

    init(_ statements: [SQL]) {
        var texts: [String] = []
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for statement in statements {
            let statement = statement.resolvingLists(for: .sqlite)
            let (text, values) = (statement.template.text(for: .sqlite) { "?\($0)" }, statement.values)
            let parts = [text] + values.map { "\($0)" }
            for part in parts {
                for byte in part.utf8 + [0] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            }
            texts.append(values.isEmpty ? text : "\(text) -- \(parts.dropFirst().joined(separator: ", "))")
        }
        self.statements = texts
        checksum = String(hash, radix: 16)
    }

    /// Separates the statements in the database. Text of SQL cannot contain it.
    private static let separator = "\u{1E}"

    /// The statements as one text.
    var text: String { statements.joined(separator: Self.separator) }

    /// Returns the first difference to what was applied.
    /// - Parameter text: The text that was stored, `nil` if none was.
    func difference(to text: String?, id: String) -> MigrationError {
        let old = text.map { $0.isEmpty ? [] : $0.split(at: Self.separator).map(String.init) }
        guard let old else { return .changed(id, statement: 1, was: nil, isNow: nil) }
        for index in 0..<max(old.count, statements.count) {
            let was = index < old.count ? old[index] : nil
            let isNow = index < statements.count ? statements[index] : nil
            if was != isNow { return .changed(id, statement: index + 1, was: was, isNow: isNow) }
        }
        return .changed(id, statement: 1, was: nil, isNow: nil)
    }
}

extension String {
    fileprivate func split(at separator: String) -> [Substring] {
        split(separator: Character(separator), omittingEmptySubsequences: false)
    }
}
