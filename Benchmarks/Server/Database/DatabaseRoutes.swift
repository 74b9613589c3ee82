import Apus

/// The database routes of the TechEmpower benchmarks, over the tables `world` and `fortune`.
enum DatabaseRoutes {
    static func declare(on routes: Routes, _ database: any Database) {
        let worlds = Worlds(database: database)
        let fortunes = Fortunes(database: database)
        let count = Query("n", as: RowCount.self, default: RowCount(1))
        routes.get("db") { try await worlds.random() }
        routes.get("queries", count) { count in try await worlds.random(count.value) }
        routes.get("updates", count) { count in try await worlds.changeRandom(count.value) }
        routes.get("fortunes") { try await fortunes.page() }
    }
}

/// The number of rows that a request asks for. Numbers outside of 1 to 500 count as the nearest one, and other text as 1.
struct RowCount: LosslessStringConvertible {
    let value: Int

    init(_ value: Int) { self.value = min(max(value, 1), 500) }

    init(_ description: String) { self.init(Int(description) ?? 1) }

    var description: String { "\(value)" }
}
