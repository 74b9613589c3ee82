/// Measures CPU time and allocations of the parts of request processing. Run it before and after a change, on the same
/// machine.
///
///     bench-parts                        measures all parts
///     bench-parts list                   lists the names of the parts
///     bench-parts NAME REPETITIONS       runs one part repeatedly without output, to count instructions
@main
struct BenchParts {
    static func main() async throws { try await run() }

    /// Runs off the main actor, like requests.
    @concurrent private static func run() async throws {
        let parts = try HTTPParts.all() + JSONParts.all()
        switch CommandLine.arguments.count {
        case 1: for part in parts { try await part.measure() }
        case 2: for part in parts { print(part.name) }
        default:
            guard let part = parts.first(where: { $0.name == CommandLine.arguments[1] }),
                let repetitions = Int(CommandLine.arguments[2])
            else { throw UnknownPart() }
            for _ in 0..<repetitions { try await part.run() }
        }
    }
}

struct UnknownPart: Error {}
