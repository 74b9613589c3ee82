import Glibc

/// Measures the clients of databases. `Benchmarks/run-data` runs it beside its peers.
///
///     bench-data                        lists the names of the figures
///     bench-data NAME URL [SECONDS]     measures one figure, by default for 3 seconds
///
/// The URL is that of a database for measurements alone. The tables that the figure needs are created.
@main
struct BenchData {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard !arguments.isEmpty else {
            for figure in Figure.all { print(figure.name) }
            return
        }
        guard arguments.count == 2 || arguments.count == 3,
            let figure = Figure.all.first(where: { $0.name == arguments[0] }),
            let seconds = arguments.count == 3 ? Int(arguments[2]) : 3, seconds > 0
        else {
            print("Usage: bench-data [NAME URL [SECONDS]]")
            exit(2)
        }
        let value = try await figure.measure(arguments[1], .seconds(seconds))
        print("FIGURE \(figure.name) \((value * 10).rounded() / 10) \(figure.unit)")
    }
}
