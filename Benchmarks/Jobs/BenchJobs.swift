import ApusCore
import ApusData
import ApusJobs
import ApusPostgres
import ApusSQLite
import Glibc

/// Measures the job queue, and puts it to work for tests from outside.
///
///     bench-jobs                                      lists the names of the figures
///     bench-jobs NAME --database URL                  measures one figure
///     bench-jobs enqueue --database URL --count N     enqueues N jobs
///     bench-jobs work --database URL [--lease SECONDS] [--clock-steps SECONDS]
///                                                     works on them until it is stopped; the wall clock can be set back
///                                                     and forth each second
///     bench-jobs count --database URL                 prints the effects of the jobs, and the jobs by state
///
/// The database must be for measurements alone: a figure deletes all jobs.
@main
struct BenchJobs {
    static func main() async throws {
        var arguments = Array(CommandLine.arguments.dropFirst())
        guard !arguments.isEmpty else {
            for figure in Figure.all { print(figure.name) }
            return
        }
        let command = arguments.removeFirst()
        guard let url = option("--database", &arguments) else { usage() }
        let database = try await open(url)
        do {
            switch command {
            case "enqueue":
                guard let count = option("--count", &arguments).flatMap({ Int($0) }), count > 0 else { usage() }
                try await Effects.enqueue(count, on: database)
            case "work":
                let lease = option("--lease", &arguments).flatMap { Double($0) }.map { Duration.seconds($0) }
                let step = option("--clock-steps", &arguments).flatMap { Double($0) }.map { Duration.seconds($0) }
                try await Effects.work(
                    on: database, lease: lease, clock: step.map { SteppingClock(step: $0) } ?? SystemClock())
            case "count": try await Effects.count(on: database)
            default:
                guard let figure = Figure.all.first(where: { $0.name == command }) else { usage() }
                for (name, value) in try await figure.measure(database) {
                    print("FIGURE \(name) \((value * 100).rounded() / 100) \(figure.unit)")
                }
            }
        } catch {
            await database.close()
            throw error
        }
        await database.close()
    }

    private static func open(_ url: String) async throws -> any Database {
        let database: any Database =
            url.hasPrefix("sqlite:") ? try SQLiteEngine().open(url) : try PostgresEngine().open(url)
        try await Migrator(database, JobQueue.migrations + [CreateEffects.self]).run()
        return database
    }

    private static func option(_ name: String, _ arguments: inout [String]) -> String? {
        guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
        defer { arguments.removeSubrange(index...(index + 1)) }
        return arguments[index + 1]
    }

    private static func usage() -> Never {
        print("Usage: bench-jobs [NAME|enqueue --count N|work [--lease S] [--clock-steps S]|count] --database URL")
        exit(2)
    }
}
