import ApusCore
import ApusData
import ApusPostgres
import Testing

/// A piece of work during which connections break.
///
/// Those that write do so at two places, so that a half of the work can be told from all of it.
enum FaultScenario: CaseIterable, CustomTestStringConvertible {
    case read
    case write
    case transaction
    case savepoint
    case change
    case copyIn
    case copyInInTransaction
    case copyOut
    case stream
    case streamInTransaction

    var testDescription: String { "\(self)" }

    static let tables: [SQL] = [
        "CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (1, 0), (2, 0)",
        "CREATE TABLE copied (id int)",
    ]

    /// How many commits the effect of one run is.
    var commits: Int {
        switch self {
        case .write, .transaction, .savepoint, .change, .copyIn, .copyInInTransaction: 1
        case .read, .copyOut, .stream, .streamInTransaction: 0
        }
    }

    /// The codes that the caller may see when the connection breaks.
    var codes: Set<StatusCode> {
        switch self {
        case .read, .copyOut, .stream: [.unavailable]
        case .write, .transaction, .savepoint, .change, .copyIn, .copyInInTransaction, .streamInTransaction:
            [.unavailable, .unknown]
        }
    }

    /// Does the work.
    func run(on database: PostgresDatabase) async throws {
        switch self {
        case .read: #expect(try await database.query("SELECT id FROM t WHERE id < \(3)").count == 2)
        case .write: try await database.execute("UPDATE t SET n = n + \(1)")
        case .transaction: try await database.transaction { try await update(database) }
        case .savepoint:
            try await database.transaction {
                try await database.execute("UPDATE t SET n = n + 1 WHERE id = 1")
                try await database.transaction(.savepoint) {
                    _ = try await database.execute("UPDATE t SET n = n + 1 WHERE id = 2")
                }
            }
        case .change:
            try await database.change(reading: "SELECT n FROM t WHERE id = 1\(SQL.rowLock)") { rows in
                let n = try rows[0].get(0, as: Int.self) + 1
                return Change(
                    ["UPDATE t SET n = \(n) WHERE id = 1", "UPDATE t SET n = \(n) WHERE id = 2"], returning: ())
            }
        case .copyIn: try await copyIn(database)
        case .copyInInTransaction:
            try await database.transaction {
                try await update(database)
                try await copyIn(database)
            }
        case .copyOut:
            var bytes: [UInt8] = []
            let count = try await database.copyOut("COPY (SELECT generate_series(1, 3)) TO STDOUT") { bytes += $0 }
            #expect(count == 3 && bytes == Array("1\n2\n3\n".utf8))
        case .stream: try await stream(database)
        case .streamInTransaction: try await database.transaction { try await stream(database) }
        }
    }

    private func update(_ database: PostgresDatabase) async throws {
        for id in 1...2 { try await database.execute("UPDATE t SET n = n + 1 WHERE id = \(id)") }
    }

    private func copyIn(_ database: PostgresDatabase) async throws {
        try await database.copyIn("COPY copied FROM STDIN") { data in
            try await data.write(Array("1\n".utf8))
            try await data.write(Array("2\n".utf8))
        }
    }

    private func stream(_ database: PostgresDatabase) async throws {
        let count = try await database.stream("SELECT generate_series(1, 70)") { rows in
            var count = 0
            for try await _ in rows { count += 1 }
            return count
        }
        #expect(count == 70)
    }

    /// What the work has changed so far: how often it was committed, and whether each commit was whole.
    struct Effect: Equatable {
        var commits: Int
        var isWhole: Bool
    }

    func effect(_ observer: PostgresDatabase) async throws -> Effect {
        let row = try await observer.query(
            """
            SELECT (SELECT n FROM t WHERE id = 1), (SELECT n FROM t WHERE id = 2),
            (SELECT count(*) FROM copied WHERE id = 1), (SELECT count(*) FROM copied WHERE id = 2)
            """)[0]
        let (first, second): (Int, Int) = (try row.get(0), try row.get(1))
        let (copiedFirst, copiedSecond): (Int, Int) = (try row.get(2), try row.get(3))
        switch self {
        case .copyIn: return Effect(commits: copiedFirst, isWhole: copiedFirst == copiedSecond)
        case .copyInInTransaction:
            return Effect(commits: first, isWhole: Set([first, second, copiedFirst, copiedSecond]).count == 1)
        default: return Effect(commits: first, isWhole: first == second)
        }
    }
}
