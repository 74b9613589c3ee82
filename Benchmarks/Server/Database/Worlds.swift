import Apus
import Synchronization

struct World: Codable, ResponseConvertible, RowDecodable {
    let id: Int
    var randomNumber: Int

    init(row: Row) throws {
        id = try row.get(0)
        randomNumber = try row.get(1)
    }
}

/// Random numbers for all threads, without a system call for each, as those of other languages (SplitMix64).
private struct RandomNumbers: RandomNumberGenerator {
    private static let state = Atomic(UInt64.random(in: .min ... .max))

    mutating func next() -> UInt64 {
        var number = Self.state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        number = (number ^ (number >> 30)) &* 0xBF58_476D_1CE4_E5B9
        number = (number ^ (number >> 27)) &* 0x94D0_49BB_1331_11EB
        return number ^ (number >> 31)
    }

    mutating func next(in range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
}

/// The table `world`, which has 10,000 rows.
struct Worlds {
    let database: any Database

    private static let numbers = 1...10_000

    /// Returns a random row.
    func random() async throws -> World {
        var random = RandomNumbers()
        let rows = try await database.query(Self.row(random.next(in: Self.numbers)), as: World.self)
        guard let world = rows.first else { throw Self.missing }
        return world
    }

    private static func row(_ id: Int) -> SQL { "SELECT id, randomnumber FROM world WHERE id = \(id)" }

    private static var missing: AppError { AppError(.notFound, "The table world has fewer than 10,000 rows.") }

    /// Returns random rows, each read by a query of its own. On Postgres, all are sent together.
    func random(_ count: Int) async throws -> [World] {
        var random = RandomNumbers()
        let queries = (0..<count).map { _ in Self.row(random.next(in: Self.numbers)) }
        return try await database.batch(queries).map { rows in
            guard let row = rows.first else { throw Self.missing }
            return try World(row: row)
        }
    }

    /// Gives random rows new numbers, all in one statement.
    /// - Returns: The rows with their new numbers, in the order of their ids. The statement finds a few rows one after the
    ///   other, and so locks them in this order; two statements then do not deadlock.
    func changeRandom(_ count: Int) async throws -> [World] {
        var worlds = try await random(count)
        worlds.sort { $0.id < $1.id }
        var random = RandomNumbers()
        for index in worlds.indices {
            // A row that was drawn twice can be changed only once.
            let isRepeated = index > 0 && worlds[index].id == worlds[index - 1].id
            worlds[index].randomNumber =
                isRepeated ? worlds[index - 1].randomNumber : random.next(in: Self.numbers)
        }
        let rows = worlds.map { world -> SQL in
            "(CAST(\(world.id) AS INTEGER), CAST(\(world.randomNumber) AS INTEGER))"
        }
        try await database.execute(
            """
            UPDATE world SET randomnumber = changed.column2 FROM (VALUES \(SQL.joined(rows, separator: ", "))) AS changed
            WHERE world.id = changed.column1
            """)
        return worlds
    }
}
