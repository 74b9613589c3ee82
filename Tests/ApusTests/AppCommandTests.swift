import ApusData
import ApusJobs
import ApusSQLite
import ApusTesting
import Foundation
import Testing

@testable import Apus

@Suite struct AppCommandTests {
    private func task(_ arguments: String...) -> (RoleTask, [String]) {
        let (task, flags) = AppCommand.parse(arguments, of: App("shop", engines: SQLiteEngine()) {})
        return (task, flags)
    }

    @Test func `Every role and every command of migrate is selected by its name`() {
        #expect(task() == (.run(.all), []))
        #expect(task("serve", "--http-port=80") == (.run(.serve), ["--http-port=80"]))
        #expect(task("migrate") == (.migrate(.up), []))
        #expect(task("migrate", "--database-url=sqlite:a") == (.migrate(.up), ["--database-url=sqlite:a"]))
        #expect(task("migrate", "up", "--log-level=debug") == (.migrate(.up), ["--log-level=debug"]))
        #expect(task("migrate", "down") == (.migrate(.down(count: 1)), []))
        #expect(
            task("migrate", "down", "--count=3", "--database-url=sqlite:a")
                == (.migrate(.down(count: 3)), ["--database-url=sqlite:a"]))
        #expect(task("migrate", "status") == (.migrate(.status), []))
        #expect(task("migrate", "dry-run") == (.migrate(.dryRun), []))
        #expect(task("migrate", "new", "add-totals") == (.migrate(.new(name: "add-totals")), []))
        #expect(
            task("backup", "/b.sqlite", "--database-url=sqlite:a")
                == (.backUp(file: "/b.sqlite"), ["--database-url=sqlite:a"]))
        #expect(task("restore", "/b.sqlite") == (.restore(file: "/b.sqlite"), []))
        #expect(task("check") == (.run(.check), []))
    }

    @Test func `Every command of jobs is selected by its name`() {
        let ids = [JobRecord.ID(), JobRecord.ID()]
        #expect(task("jobs") == (.jobs(.status), []))
        #expect(task("jobs", "status", "--log-level=debug") == (.jobs(.status), ["--log-level=debug"]))
        #expect(task("jobs", "list") == (.jobs(.list(JobFilter(), limit: 50)), []))
        let filter = JobFilter(state: .available, kind: "send", queue: "mail", tag: "vip")
        let words = "jobs list --state available --kind send --queue mail --tag vip --limit 5".split(separator: " ")
        let parsed = AppCommand.parse(words.map(String.init), of: App("shop", engines: SQLiteEngine()) {})
        #expect(parsed.task == .jobs(.list(filter, limit: 5)))
        #expect(task("jobs", "show", "\(ids[0])") == (.jobs(.show(ids[0])), []))
        #expect(
            task("jobs", "retry", "\(ids[0])", "--log-level=debug", "\(ids[1])")
                == (.jobs(.retry(ids)), ["--log-level=debug"]))
        #expect(
            task("jobs", "retry", "--discarded", "--queue", "mail")
                == (.jobs(.retryDiscarded(JobFilter(queue: "mail"))), []))
        #expect(task("jobs", "cancel", "\(ids[0])") == (.jobs(.cancel([ids[0]])), []))
        #expect(task("jobs", "delete", "\(ids[0])") == (.jobs(.delete([ids[0]])), []))
        #expect(task("jobs", "pause", "mail") == (.jobs(.pause(queue: "mail")), []))
        #expect(task("jobs", "resume", "mail") == (.jobs(.resume(queue: "mail")), []))
    }

    @Test func `A new migration is written once`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-migrations-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        try App.createMigration("add-order-totals", in: folder)
        let source = try String(contentsOf: folder.appending(path: "AddOrderTotals.swift"), encoding: .utf8)
        #expect(source.contains("enum AddOrderTotals: Migration"))
        #expect(throws: StartupError.self) { try App.createMigration("add-order-totals", in: folder) }
    }

    @Test func `A backup is restored by the settings of an app, and refused while the app is assembled`() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-restore-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        let app = App("shop", engines: SQLiteEngine()) {}
        let url = "sqlite:\(folder.path)/a.sqlite"
        let settings = try await Settings(arguments: ["--database-url=\(url)"], variables: [:])
        let common = CommonSettings(settings, of: app)
        let backup = folder.path + "/b.sqlite"
        do {
            let assembly = try app.assemble(settings: settings)
            let database = try #require(assembly.database)
            try await database.execute("CREATE TABLE t AS SELECT 1 AS x")
            try await database.backUp(to: backup)
            await #expect(throws: (any Error).self) { try await app.restore(common, settings, from: backup) }
            try await database.execute("DROP TABLE t")
            await database.close()
        }
        try await app.restore(common, settings, from: backup)
        let database = try SQLiteEngine().open(url)
        #expect(try await database.queryValue("SELECT x FROM t") == 1)
        await database.close()
    }
}
