import ApusCore
import ApusData
import Foundation
import GRDB

extension SQLiteDatabase {
    /// Writes a copy of the database, as it is at one moment, into a new file. Reads and writes go on meanwhile, and the
    /// write-ahead log grows until the copy is complete.
    ///
    /// The file appears under its name only when it is complete and on disk. It needs no `-wal` file beside it. An existing
    /// file is not replaced.
    /// - Throws: An `AppError` of code `alreadyExists` if the file exists, of code `unavailable` if it cannot be written.
    public func backUp(to path: String) async throws {
        guard !FileManager.default.fileExists(atPath: path) else {
            throw AppError(.alreadyExists, "The file \(path) exists. A backup does not replace a file.")
        }
        let partial = path + ".partial"
        try? FileManager.default.removeItem(atPath: partial)
        do {
            // VACUUM INTO reads one snapshot. The backup API would begin anew at each write of another process.
            try await runBeside { database in
                do {
                    try database.execute(sql: "VACUUM INTO ?", arguments: [partial])
                } catch let error as DatabaseError where error.resultCode == .SQLITE_CANTOPEN {
                    throw AppError(.unavailable, "The file \(partial) cannot be created.", cause: error)
                }
            }
            try DurableFile.sync(partial)
            try DurableFile.rename(partial, to: path, replacing: false)
        } catch {
            try? FileManager.default.removeItem(atPath: partial)
            throw error
        }
    }

    /// Checks the structure of the file, its indexes and its foreign keys. It reads the whole file.
    /// - Returns: What is wrong, at most about 100 lines; nothing if all is well.
    public func checkIntegrity() async throws -> [String] {
        try await runBeside { try $0.integrityProblems() }
    }

    /// Runs a long read on a connection and a thread of its own; in memory, on the writer's.
    private func runBeside<Result: Sendable>(
        _ body: @escaping @Sendable (GRDB.Database) throws -> Result
    ) async throws -> Result {
        guard path != ":memory:" else {
            return try await Operation.run(runsAlone: true, submit: { writer.submit(.single($0)) }) {
                try body($0.database)
            }
        }
        return try await Operation.run(submit: { operation in
            startThread("apus.sqlite.beside") { [path, options] in Self.perform(operation, path, options) }
            return true
        }) { try body($0.database) }
    }

    private static func perform(_ operation: Operation, _ path: String, _ options: SQLiteOptions) {
        guard operation.begin() else { return }
        let result = Result {
            let connection = try SQLiteConnection(path: path, options: options, for: .reading)
            defer { connection.close() }
            try connection.run(operation)
        }
        // Now that the connection is closed: the task may close the database, whose last connection checkpoints.
        switch result {
        case .success: operation.finish(nil)
        case .failure(let error): operation.finish(error)
        }
    }
}

extension GRDB.Database {
    /// Returns what `PRAGMA integrity_check` and `PRAGMA foreign_key_check` find.
    func integrityProblems() throws -> [String] {
        do {
            let structure = try String.fetchAll(self, sql: "PRAGMA integrity_check").filter { $0 != "ok" }
            // References are worth a look in a sound file only.
            return structure.isEmpty ? try brokenReferences() : structure
        } catch let error as DatabaseError where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode) {
            return ["\(error.message ?? "the file is corrupt")"]
        }
    }

    private func brokenReferences() throws -> [String] {
        try GRDB.Row.fetchAll(self, sql: "PRAGMA foreign_key_check").prefix(100).map { row in
            let row = (table: row[0] as String? ?? "?", id: row[1] as Int64?, parent: row[2] as String? ?? "?")
            return
                "a row of \(row.table) (\(row.id.map { "rowid \($0)" } ?? "without rowid")) refers to a missing row of \(row.parent)"
        }
    }
}
