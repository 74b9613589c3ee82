import ApusCore
import ApusData
import Foundation

extension App {
    /// Runs a command of the role `migrate`.
    func migrate(_ action: MigrationAction, _ assembly: Assembly) async throws {
        guard let migrator = assembly.migrator else { throw StartupError(problems: ["This app has no database."]) }
        switch action {
        case .up: for id in try await migrator.run() { print("applied \(id)") }
        case .down(let count): for id in try await migrator.down(count) { print("undone \(id)") }
        case .status: for status in try await migrator.status() { print(Self.line(status)) }
        case .dryRun: for plan in try await migrator.dryRun() { print(Self.text(plan)) }
        case .new: break
        }
    }

    private static func line(_ status: MigrationStatus) -> String {
        let state = status.state.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
        let date = status.appliedAt.map { " \($0.formatted(.iso8601))" } ?? ""
        return "\(state) \(status.id)\(date)"
    }

    private static func text(_ plan: MigrationPlan) -> String {
        let statements = plan.statements.isEmpty ? ["-- written in Swift"] : plan.statements.map { "\($0);" }
        let heading = "-- \(plan.id)\(plan.isTransactional ? "" : ", in no transaction")"
        return ([heading] + statements).joined(separator: "\n")
    }

    /// Writes the source of a new migration.
    static func createMigration(_ name: String, in folder: URL = URL(filePath: "Migrations")) throws {
        let template = try MigrationTemplate(name: name, date: Date())
        let file = folder.appending(path: template.fileName)
        guard !FileManager.default.fileExists(atPath: file.path) else {
            throw StartupError(problems: ["The file \(file.relativePath) exists."])
        }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data(template.source.utf8).write(to: file)
        print("wrote \(file.relativePath); add it to a module: app.migrations.add(\(template.typeName).self)")
    }

    /// Replaces the database by a backup.
    func restore(_ common: CommonSettings, _ settings: Settings, from file: String) async throws {
        guard let url = common.database?.url, let engine = engine(of: url, settings) else {
            try settings.check()
            throw StartupError(problems: ["This app has no database."])
        }
        try await engine.restore(url, from: file)
        print("restored \(file)")
    }
}
