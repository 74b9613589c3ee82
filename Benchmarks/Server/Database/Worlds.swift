import Apus

struct World: Codable, ResponseConvertible, RowDecodable {
    let id: Int
    var randomNumber: Int

    init(row: Row) throws {
        id = try row.get(0)
        randomNumber = try row.get(1)
    }
}

/// The table `world`, which has 10,000 rows.
struct Worlds {
    let database: any Database

    private static let numbers = 1...10_000

    /// Returns a random row.
    func random() async throws -> World {
        guard let world = try await database.query(Self.randomRow, as: World.self).first else { throw Self.missing }
        return world
    }

    private static var randomRow: SQL {
        "SELECT id, randomnumber FROM world WHERE id = \(Int.random(in: numbers))"
    }

    private static var missing: AppError { AppError(.notFound, "The table world has fewer than 10,000 rows.") }

    /// Returns random rows, each read by a query of its own. On Postgres, all are sent together.
    func random(_ count: Int) async throws -> [World] {
        try await database.batch((0..<count).map { _ in Self.randomRow }).map { rows in
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
        for index in worlds.indices {
            // A row that was drawn twice can be changed only once.
            let isRepeated = index > 0 && worlds[index].id == worlds[index - 1].id
            worlds[index].randomNumber =
                isRepeated ? worlds[index - 1].randomNumber : Int.random(in: Self.numbers)
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
