import ApusCore

/// Refuses statements that would work against the connection that runs them.
enum StatementGuard {
    /// Settings of the write-ahead log, which ``Checkpointer`` owns.
    private static let ownedSettings = ["wal_checkpoint", "wal_autocheckpoint", "journal_mode", "locking_mode"]

    /// Checks a statement.
    /// - Throws: An `AppError` of code `invalidArgument` for one that begins or ends a transaction, because it would end
    ///   that of other tasks' writes too, and for one that checkpoints or stops using the write-ahead log.
    static func check(_ text: String) throws {
        var words = Words(text)
        switch words.next() {
        case "BEGIN", "COMMIT", "END": throw transactionError
        case "ROLLBACK":
            var next = words.next()
            if next == "TRANSACTION" { next = words.next() }
            guard next == "TO" else { throw transactionError }
        case "PRAGMA", "EXPLAIN":
            let lowercase = text.lowercased()
            for setting in ownedSettings where lowercase.contains(setting) {
                throw AppError(
                    .invalidArgument,
                    "PRAGMA \(setting) is not available: the database checkpoints by itself, only while nothing is written."
                )
            }
        default: break
        }
    }

    private static var transactionError: AppError {
        AppError(
            .invalidArgument, "A transaction is begun and ended by Database.transaction { … }, not by a statement.")
    }

    /// The words at the beginning of a statement, in capital letters, without the comments before them.
    private struct Words {
        private var rest: Substring.UTF8View

        init(_ text: String) { rest = text[...].utf8 }

        /// Returns the next word; empty if something else follows.
        mutating func next() -> String {
            skipSpace()
            let word = rest.prefix { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0 & 0xDF) }
            rest = rest.dropFirst(word.count)
            return Substring(word).uppercased()
        }

        private mutating func skipSpace() {
            while let first = rest.first {
                if first <= 0x20 || first == UInt8(ascii: ";") {
                    rest = rest.dropFirst()
                } else if rest.starts(with: "--".utf8) {
                    rest = rest.drop { $0 != UInt8(ascii: "\n") }
                } else if rest.starts(with: "/*".utf8) {
                    skipComment()
                } else {
                    return
                }
            }
        }

        private mutating func skipComment() {
            rest = rest.dropFirst(2)
            while !rest.isEmpty, !rest.starts(with: "*/".utf8) { rest = rest.dropFirst() }
            rest = rest.dropFirst(2)
        }
    }
}
