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
        let id = Int.random(in: Self.numbers)
        let rows = try await database.query("SELECT id, randomnumber FROM world WHERE id = \(id)", as: World.self)
        guard let world = rows.first else { throw AppError(.notFound, "There is no world with the id \(id).") }
        return world
    }

    /// Returns random rows, each read by a query of its own.
    func random(_ count: Int) async throws -> [World] {
        var worlds: [World] = []
        worlds.reserveCapacity(count)
        switch database.dialect {
        case .postgres:
            // Queries that run at the same time are sent together.
            try await withThrowingTaskGroup(of: World.self) { group in
                for _ in 0..<count { group.addImmediateTask { try await random() } }
                for try await world in group { worlds.append(world) }
            }
        case .sqlite:
            // A read is not sent anywhere: it takes its turn on a reader thread, with those of other requests.
            for _ in 0..<count { worlds.append(try await random()) }
        }
        return worlds
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
