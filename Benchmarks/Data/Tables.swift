import ApusData

/// A row of the table `world`.
struct World: Record {
    static let table = "world"
    /// The ids of the rows.
    static let ids = 1...10_000

    let id: Int
    let randomNumber: Int

    init(id: Int, randomNumber: Int) {
        self.id = id
        self.randomNumber = randomNumber
    }

    init(row: Row) throws {
        id = try row.get(0)
        randomNumber = try row.get(1)
    }

    var columns: [(name: String, value: any SQLValueConvertible)] { [("id", id), ("randomnumber", randomNumber)] }
}

/// The tables of the measurements.
enum Tables {
    /// Creates the table `world` with its rows, and the table `entry` for rows that are inserted, unless they exist.
    static func create(on database: any Database) async throws {
        try await database.execute(
            "CREATE TABLE IF NOT EXISTS world (id INTEGER PRIMARY KEY, randomnumber INTEGER NOT NULL)")
        let id: SQL =
            switch database.dialect {
            case .sqlite: "id INTEGER PRIMARY KEY"
            case .postgres: "id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            }
        try await database.execute("CREATE TABLE IF NOT EXISTS entry (\(id), number INTEGER NOT NULL)")
        guard try await database.queryValue("SELECT COUNT(*) FROM world", as: Int.self) == 0 else { return }
        var numbers = RandomNumbers(seed: 0)
        let worlds = World.ids.map { World(id: $0, randomNumber: Int.random(in: World.ids, using: &numbers)) }
        try await SQLRepository<World>(database).insert(worlds)
        try await database.execute("ANALYZE world")
    }
}

extension RandomNumbers {
    /// Returns the id of a row of the table `world`.
    mutating func id() -> Int { Int.random(in: World.ids, using: &self) }
}
