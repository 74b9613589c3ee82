import ApusCore
import ApusData
import ApusJobs
import ApusPostgres
import ApusSQLite
import ApusTesting
import Foundation
import Synchronization
import Testing

/// Processes are killed, frozen and cut off from the database while they work on jobs, and the wall clock of one of them is set
/// back and forth. Each job inserts its id into a table
/// in the transaction that completes it: in the end, each id must be there once.
///
/// `CHAOS_JOBS` is the number of jobs.
@Suite(.serialized, .timeLimit(.minutes(30)), .enabled(if: BenchJobs.isBuilt, "bench-jobs is not built."))
struct ChaosTests {
    private let count = ProcessInfo.processInfo.environment["CHAOS_JOBS"].flatMap { Int($0) } ?? 3000

    @Test func `On SQLite, killed workers lose no job and repeat no effect`() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "chaos-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let url = "sqlite:\(folder.path)/jobs.sqlite"
        try await withWorkers(2, url, SQLiteEngine()) { workers, database in
            for step in 1...8 {
                try await waitForEffects(count * step / 10, workers, database)
                try await workers.replace(step)
            }
            try await finish(workers, database)
        }
    }

    @Test(.enabled(if: TestPostgres.isAvailable))
    func `On Postgres, killed and frozen workers, cut connections and restarts lose no job and repeat no effect`()
        async throws
    {
        let server = try await TestPostgres.start()
        do { try await runOnPostgres(server) } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private func runOnPostgres(_ server: TestPostgres) async throws {
        try await withWorkers(3, server.url(), PostgresEngine()) { workers, database in
            for step in 1...8 {
                try await waitForEffects(count * step / 10, workers, database)
                switch step {
                case 2, 5:
                    try await server.psql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
                case 3, 6: try await server.restart()
                case 4: try await freeze(workers, database)
                default: try await workers.replace(step)
                }
            }
            try await finish(workers, database)
        }
    }

    /// Stops a process until others have taken over its jobs, and lets it go on.
    private func freeze(_ workers: Workers, _ database: any Database) async throws {
        let process = workers.all[0]
        func isKnown() async throws -> Bool {
            try await database.queryValue("SELECT count(*) FROM apus_job_worker WHERE process = \(Int(process.id))")
                == 1
        }
        try await wait(workers) { try await isKnown() }
        process.signal(SIGSTOP)
        try await wait(workers) { try await !isKnown() }
        process.signal(SIGCONT)
    }

    // MARK: Helpers

    /// Enqueues the jobs, and starts processes that work on them.
    private func withWorkers(
        _ number: Int, _ url: String, _ engine: some DatabaseEngine,
        _ body: (Workers, any Database) async throws -> Void
    ) async throws {
        let producer = try BenchJobs("enqueue", "--database", url, "--count", "\(count)")
        try #require(await producer.waitForExit() == 0)
        let database = try engine.open(url)
        let workers = try Workers(number, url)
        do { try await body(workers, database) } catch {
            await workers.kill()
            await database.close()
            throw error
        }
        await workers.kill()
        await database.close()
    }

    /// Polls, because nothing connects the test with what other processes do.
    private func wait(_ workers: Workers, until isMet: () async throws -> Bool) async throws {
        while (try? await isMet()) != true {
            try #require(!workers.haveExited)
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    private func waitForEffects(_ count: Int, _ workers: Workers, _ database: any Database) async throws {
        try await wait(workers) { try await (database.queryValue("SELECT count(*) FROM effects") ?? 0) >= count }
    }

    private func finish(_ workers: Workers, _ database: any Database) async throws {
        try await wait(workers) {
            try await database.queryValue("SELECT count(*) FROM apus_job WHERE state IN ('available', 'running')") == 0
        }
        // The living have started, and the dead are forgotten.
        let living = Set(workers.all.map { Int($0.id) })
        try await wait(workers) {
            try await Set(database.query("SELECT process FROM apus_job_worker", as: Int.self)) == living
        }
        await workers.stop()
        #expect(try await database.queryValue("SELECT count(*) FROM apus_job WHERE state = 'completed'") == count)
        #expect(try await database.queryValue("SELECT count(*) FROM effects") == count)
        #expect(try await database.queryValue("SELECT count(DISTINCT job) FROM effects") == count)
        #expect(try await database.queryValue("SELECT count(*) FROM apus_job_worker") == 0)
    }
}

/// Processes that work on jobs, with short leases. The wall clock of the first one is set back and forth by an hour.
private final class Workers {
    private let url: String
    private(set) var all: [BenchJobs] = []

    init(_ count: Int, _ url: String) throws {
        self.url = url
        for index in 0..<count { all.append(try start(index)) }
    }

    private func start(_ index: Int) throws -> BenchJobs {
        let clock = index == 0 ? ["--clock-steps", "3600"] : []
        return try BenchJobs(arguments: ["work", "--database", url, "--lease", "2"] + clock)
    }

    /// Whether a process has ended that was not killed.
    var haveExited: Bool { all.contains { $0.hasExited } }

    /// Kills a process, and starts another one.
    func replace(_ step: Int) async throws {
        let index = step % all.count
        all[index].signal(SIGKILL)
        #expect(await all[index].waitForExit() == -SIGKILL)
        all[index] = try start(index)
    }

    func stop() async {
        for process in all { process.signal(SIGTERM) }
        for process in all { #expect(await process.waitForExit() == 0) }
    }

    func kill() async {
        for process in all { process.signal(SIGKILL) }
        for process in all { _ = await process.waitForExit() }
    }
}

/// A process of `bench-jobs`.
private final class BenchJobs: Sendable {
    private static let binary = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        .appending(path: "bench-jobs").path
    static var isBuilt: Bool { FileManager.default.isExecutableFile(atPath: binary) }

    private let process: ChildProcess
    private let exit = Gate()
    private let status = Mutex<Int32?>(nil)
    var id: Int32 { process.id }

    convenience init(_ arguments: String...) throws { try self.init(arguments: arguments) }

    init(arguments: [String]) throws {
        let output: Int32
        (process, output) = try ChildProcess.start([Self.binary] + arguments)
        Thread.detachNewThread { [self] in
            ChildProcess.read(output) { _ in }
            let status = process.wait()
            self.status.withLock { $0 = status }
            exit.open()
        }
    }

    func signal(_ number: Int32) { if !hasExited { process.signal(number) } }

    var hasExited: Bool { status.withLock { $0 != nil } }

    /// - Returns: The exit status, or the signal that ended it as a negative number.
    func waitForExit() async -> Int32 {
        try? await exit.wait()
        return status.withLock { $0 } ?? 0
    }
}
