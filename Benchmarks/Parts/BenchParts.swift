/// CPU time and allocations of the parts that a request passes. Run it before and after a change, on one machine.
///
///     bench-parts                        measures all parts
///     bench-parts list                   their names
///     bench-parts NAME REPETITIONS       does one part so often and says nothing: to count instructions
@main
struct BenchParts {
    static func main() async throws { try await run() }

    /// Away from the main actor, as requests are.
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
