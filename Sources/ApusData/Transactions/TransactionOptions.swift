import ApusCore

/// How a transaction runs.
///
/// ```swift
/// try await database.transaction(.retryable) { … }
/// try await database.transaction(.snapshot) { … }     // several queries that see the same moment
/// ```
public struct TransactionOptions: Sendable {
    /// What a transaction sees of others that run at the same time. SQLite always has the strictest.
    public enum Isolation: String, Sendable {
        case readCommitted = "READ COMMITTED"
        case repeatableRead = "REPEATABLE READ"
        case serializable = "SERIALIZABLE"
    }

    /// What a transaction does inside another one of the same database.
    public enum Nesting: Sendable {
        /// It becomes part of the other one, and both are committed together or not at all. A service that composes
        /// others relies on it; and it costs no statement.
        case joins
        /// It is a savepoint of the other one, which can go on if it fails. Postgres slows down when a transaction has
        /// more than 64 of them at a time.
        case savepoint
    }

    /// The isolation level; the engine's by default. Only the outermost transaction has one.
    public var isolation: Isolation?
    /// Whether it only reads, from a snapshot of one moment. Writes are rejected.
    public var isReadOnly = false
    /// What it does inside another transaction. Joins it by default.
    public var nesting = Nesting.joins
    /// How often the closure may be run again after a conflict with another transaction: a serialisation failure, a
    /// deadlock, or a lock that was held for too long. 0.
    ///
    /// Only the outermost transaction runs again. Nothing is repeated if it is unknown whether a commit took effect.
    public var retries = 0

    public init() {}

    /// Runs again up to 5 times after a conflict.
    public static var retryable: TransactionOptions {
        var options = TransactionOptions()
        options.retries = 5
        return options
    }

    /// Reads a snapshot of one moment.
    public static var snapshot: TransactionOptions {
        var options = TransactionOptions()
        options.isolation = .repeatableRead
        options.isReadOnly = true
        return options
    }

    /// Can fail inside another transaction, which then goes on.
    public static var savepoint: TransactionOptions {
        var options = TransactionOptions()
        options.nesting = .savepoint
        return options
    }
}

extension TransactionOptions {
    /// Returns the statement that begins a transaction with these options; `nil` if none is needed.
    func setting(_ dialect: SQLDialect) -> SQL? {
        guard dialect == .postgres, isolation != nil || isReadOnly else { return nil }
        let level = isolation.map { " ISOLATION LEVEL \($0.rawValue)" } ?? ""
        return SQL(stringLiteral: "SET TRANSACTION\(level)\(isReadOnly ? " READ ONLY" : "")")
    }

    /// Runs a transaction as its options say.
    /// - Parameters:
    ///   - body: The closure.
    ///   - outermost: Runs the closure in a transaction of its own.
    package func run<Result: Sendable>(
        on database: any Database, _ body: () async throws -> Result,
        outermost: () async throws -> Result
    ) async throws -> Result {
        if let ambient = try AmbientTransaction.open(on: database) {
            switch nesting {
            case .joins: return try await ambient.join(body)
            case .savepoint: return try await ambient.savepoint(on: database, body)
            }
        }
        return try await retried(outermost)
    }

    /// Runs a transaction again after a conflict, as often as ``retries`` says.
    package func retried<Result: Sendable>(_ transaction: () async throws -> Result) async throws -> Result {
        var attempt = 0
        while true {
            do {
                return try await transaction()
            } catch let error where attempt < retries && error.isTransactionConflict {
                attempt += 1
                try await Self.wait(beforeRetry: attempt)
            }
        }
    }

    /// Waits for a random time, up to 20, 40, 80 … 1000 milliseconds, so that transactions in conflict do not meet again.
    private static func wait(beforeRetry attempt: Int) async throws {
        let longest = min(10 << attempt, 1000)
        try await Task.sleep(for: .milliseconds(Int.random(in: 1...longest)))
    }
}

/// An engine's error that can be a conflict with another transaction.
package protocol TransactionConflict: Error {
    /// Whether the transaction was rolled back because of another one, and may succeed when it is run again.
    var isTransactionConflict: Bool { get }
}

extension Error {
    /// Whether the error, or its cause, is a conflict with another transaction.
    package var isTransactionConflict: Bool {
        if let conflict = self as? any TransactionConflict { return conflict.isTransactionConflict }
        return (self as? AppError)?.cause?.isTransactionConflict ?? false
    }
}
