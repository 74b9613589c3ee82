import ApusCore
import ApusData
import ApusPostgres

enum PostgresFigures {
    static let all = [
        Figure(name: "postgres-point-reads", unit: "reads/s") { url, duration in
            let database = try PostgresEngine().open(url)
            try await Tables.create(on: database)
            return try await Load(tasks: 64, duration: duration).measure(closing: { await database.close() }) {
                try checkWorld(try await database.query(readWorld($0.id()), as: World.self))
            }.rate
        },
        Figure(name: "postgres-batch-cpu", unit: "µs/20-reads") { url, duration in
            let database = try PostgresEngine().open(url)
            try await Tables.create(on: database)
            let load = Load(tasks: 64, duration: duration)
            return try await load.measure(closing: { await database.close() }) { numbers in
                let results = try await database.batch((0..<20).map { _ in readWorld(numbers.id()) })
                for rows in results { try checkWorld(try rows.map(World.init(row:))) }
            }.microseconds
        },
        Figure(name: "postgres-inserts", unit: "inserts/s") { url, duration in
            let database = try PostgresEngine().open(url)
            try await Tables.create(on: database)
            return try await Load(tasks: 64, duration: duration).measure(closing: { await database.close() }) {
                try await database.execute("INSERT INTO entry (number) VALUES (\($0.id()))")
            }.rate
        },
    ]

    private static func readWorld(_ id: Int) -> SQL { "SELECT id, randomnumber FROM world WHERE id = \(id)" }

    private static func checkWorld(_ worlds: [World]) throws {
        guard worlds.count == 1 else { throw AppError(.notFound, "There is no world with that id.") }
    }
}
