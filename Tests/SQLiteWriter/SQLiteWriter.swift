import ApusCore
import ApusData
import ApusSQLite
import Foundation

/// A process that writes to a database, for tests that share one between processes:
/// `sqlite-writer PATH NAME COUNT`. It writes COUNT numbered rows from 8 tasks, and prints the number of each row when it
/// is committed. A task increments a counter by read, change and write as well.
@main
struct SQLiteWriter {
    private static let tasks = 8

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let count = Int(arguments[3]) else {
            throw AppError(.invalidArgument, "Usage: sqlite-writer PATH NAME COUNT")
        }
        var options = SQLiteOptions()
        options.busyTimeout = .seconds(300)
        // As often as possible, to give the checkpoints of a process the chance to meet the writes of the others.
        options.checkpointPages = 20
        let database = try SQLiteDatabase(path: arguments[1], options: options)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<tasks {
                group.addTask { try await write(arguments[2], stride(from: task, to: count, by: tasks), to: database) }
            }
            try await group.waitForAll()
        }
        await database.close()
    }

    private static func write(_ name: String, _ numbers: StrideTo<Int>, to database: SQLiteDatabase) async throws {
        for number in numbers {
            let padding = [UInt8](repeating: UInt8(number % 251), count: number * 37 % 9000)
            if number % 4 == 0 {
                try await database.transaction {
                    try await insert(name, number, padding, to: database)
                    let total: Int = try await database.query("SELECT total FROM counters").first?.get(0) ?? 0
                    try await database.execute("UPDATE counters SET total = \(total + 1)")
                }
            } else {
                try await insert(name, number, padding, to: database)
            }
            FileHandle.standardOutput.write(Data("\(number)\n".utf8))
            if number % 5 == 0 { _ = try await database.query("SELECT COUNT(*) FROM numbers WHERE writer = \(name)") }
        }
    }

    private static func insert(
        _ name: String, _ number: Int, _ padding: [UInt8], to database: SQLiteDatabase
    ) async throws {
        try await database.execute(
            "INSERT INTO numbers (writer, number, padding) VALUES (\(name), \(number), \(padding))")
    }
}
