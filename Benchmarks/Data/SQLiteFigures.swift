import ApusData
import ApusSQLite

enum SQLiteFigures {
    static let all = [
        Figure(name: "sqlite-point-reads", unit: "reads/s") { url, duration in
            let database = try SQLiteEngine().open(url)
            try await Tables.create(on: database)
            let worlds = SQLRepository<World>(database)
            return try await Load(tasks: 1, duration: duration).measure(closing: { await database.close() }) {
                _ = try await worlds.get($0.id())
            }.rate
        },
        // Each write survives a loss of power when its call returns.
        Figure(name: "sqlite-durable-writes", unit: "writes/s") { url, duration in
            let database = try SQLiteEngine().open(url)
            try await Tables.create(on: database)
            return try await Load(tasks: 64, duration: duration).measure(closing: { await database.close() }) {
                try await database.execute("INSERT INTO entry (number) VALUES (\($0.id()))")
            }.rate
        },
    ]
}
