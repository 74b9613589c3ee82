/// CPU time and allocations of the parts that a request passes. Run it before and after a change, on one machine.
@main
struct BenchParts {
    static func main() async throws {
        try JSONParts.run()
    }
}
