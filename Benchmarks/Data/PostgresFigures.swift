import ApusCore
import ApusData
import ApusPostgres

enum PostgresFigures {
    static let all = [
        Figure(name: "postgres-point-reads", unit: "reads/s") { url, duration in
            let database = try PostgresEngine().open(url)
            try await Tables.create(on: database)
            return try await Load(tasks: 64, duration: duration).measure(closing: { await database.close() }) {
                try await readWorld($0.id(), on: database)
            }.rate
        },
        Figure(name: "postgres-batch-cpu", unit: "µs/20-reads") { url, duration in
            let database = try PostgresEngine().open(url)
            try await Tables.create(on: database)
            let load = Load(tasks: 1, duration: duration)
            return try await load.measure(closing: { await database.close() }) { numbers in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<20 {
                        let id = numbers.id()
                        group.addImmediateTask { try await readWorld(id, on: database) }
                    }
                    try await group.waitForAll()
                }
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

    private static func readWorld(_ id: Int, on database: any Database) async throws {
        let worlds = try await database.query("SELECT id, randomnumber FROM world WHERE id = \(id)", as: World.self)
        guard worlds.count == 1 else { throw AppError(.notFound, "There is no world with the id \(id).") }
    }
}
