import ApusCore
import ApusData
import Crypto

/// A statement's text, and what the connections of an event loop have learnt about it.
///
/// Accessed only on the event loop of its cache.
final class PostgresStatement {
    let sql: String
    /// The name of the prepared statement: derived from the text, so that it means the same on every connection. Behind
    /// a connection pooler, different clients share server connections.
    private(set) lazy var name = Self.name(of: sql)
    /// What the server has said about the statement; `nil` if it is not known or no longer true.
    @exclusivity(unchecked) private(set) var description: StatementDescription?
    /// Increases when prepared statements of the text must be prepared again.
    @exclusivity(unchecked) private(set) var generation = 0
    /// Whether the server cannot infer the types of numbers, so that they are declared.
    @exclusivity(unchecked) var declaresNumbers = false
    /// How long the statement takes, as far as it is known.
    enum Speed {
        /// It was not executed yet. Other statements are not written behind it.
        case unknown
        case fast
        /// It is executed on a connection of its own.
        case slow
    }

    @exclusivity(unchecked) var speed = Speed.unknown

    /// Whether the statement is known to change nothing.
    let isRead: Bool

    /// Whether the statement is remembered and stays prepared. One with a very long text is not.
    let isKept: Bool

    /// When the statement was last asked for, in the count of its cache.
    @exclusivity(unchecked) var lastUse = 0

    /// Why the statement must not be run as others are; `nil` if it may.
    private let misuse: String?

    init(_ sql: String) {
        self.sql = sql
        isKept = sql.utf8.count <= StatementCache.maximumLength
        let words = StatementWords.first(3, of: sql)
        isRead = ["SELECT", "SHOW", "TABLE", "VALUES"].contains(words.first)
        misuse = Self.misuse(of: sql, words)
    }

    /// - Throws: An `AppError` of code `internal` for statements that would change the state of a connection that
    ///   others use as well.
    func checkUse() throws(AppError) {
        if let misuse { throw AppError(.internal, misuse) }
    }

    private static func misuse(of sql: String, _ words: [String]) -> String? {
        guard !sql.utf8.contains(0) else { return "A statement must not contain the character U+0000." }
        let word = words.first ?? ""
        switch word {
        case "COPY": return "COPY must be run with copyIn or copyOut of PostgresDatabase."
        case "LISTEN", "UNLISTEN": return "LISTEN must be run with notifications of PostgresDatabase."
        case "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "PREPARE", "DEALLOCATE", "DISCARD":
            // ROLLBACK TO SAVEPOINT leaves the transaction open.
            if word == "ROLLBACK", words.dropFirst().first(where: { !["WORK", "TRANSACTION"].contains($0) }) == "TO" {
                return nil
            }
            return "\(word) must not be run as a statement. Use transaction of Database."
        case "SET", "RESET":
            if word == "SET", words.count > 1, ["LOCAL", "TRANSACTION", "CONSTRAINTS"].contains(words[1]) {
                return nil
            }
            return "\(word) would change the connection for all who use it. Use SET LOCAL in a transaction."
        default: return nil
        }
    }

    /// Records what the server has said about the statement of the current generation.
    func described(_ description: StatementDescription, generation: Int) {
        if generation == self.generation { self.description = description }
    }

    /// Forgets the statement, because it has become invalid on the server.
    /// - Parameter generation: The generation that is invalid. A later one may already be in use.
    func forget(generation: Int) {
        guard generation == self.generation else { return }
        self.generation += 1
        description = nil
    }

    private static func name(of sql: String) -> String {
        let digest = SHA256.hash(data: Array(sql.utf8)).prefix(16)
        return "apus_" + digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

/// The types of a statement's parameters and the columns of its result.
final class StatementDescription: Sendable {
    /// The types of the parameters.
    let parameters: [PostgresType]
    /// The OIDs of the parameters to declare when the statement is prepared on another connection: of those types that
    /// are the same on every server. 0 leaves a type to the server.
    let declaredOIDs: [UInt32]
    let columns: ColumnDescription

    init(parameterOIDs: [UInt32], columns: ColumnDescription) {
        parameters = parameterOIDs.map { PostgresType(oid: $0) }
        declaredOIDs = zip(parameters, parameterOIDs).map { $0 == .unknown ? 0 : $1 }
        self.columns = columns
    }
}

/// The columns of a result.
final class ColumnDescription: Sendable {
    let names: [String]
    let types: [PostgresType]
    /// The format in which each column is requested.
    let formats: [ValueFormat]
    /// Whether all columns are requested in binary format, whatever their number.
    let isBinary: Bool

    init(names: [String], types: [PostgresType]) {
        self.names = names
        self.types = types
        formats = types.map { $0.isReadInBinary ? .binary : .text }
        isBinary = !types.isEmpty && types.allSatisfy(\.isReadInBinary)
    }

    /// Whether a column is requested in binary format. The result may have more columns by now.
    func isRequestedInBinary(_ index: Int) -> Bool {
        isBinary || index < formats.count && formats[index] == .binary
    }

    static let none = ColumnDescription(names: [], types: [])
}
