import AllocationCounter
import Glibc

/// A part of request processing, measured in isolation.
struct Part {
    let name: String
    var repetitions = 20_000
    let run: () async throws -> Void

    /// Prints the best time of seven measurements, and the average number of allocations:
    ///
    ///     parser, small request                     412 ns      3.0 allocations
    func measure() async throws {
        for _ in 0..<repetitions / 10 { try await run() }
        var best = Double.infinity
        let allocations = allocation_count()
        for _ in 0..<7 {
            let start = Self.processorTime()
            for _ in 0..<repetitions { try await run() }
            best = min(best, (Self.processorTime() - start) / Double(repetitions))
        }
        let each = Double(allocation_count() - allocations) / Double(7 * repetitions)
        let columns = [
            name.padded(to: 36), "\(Int(best.rounded()))".padded(to: -8), "ns",
            "\((each * 10).rounded() / 10)".padded(to: -8),
        ]
        print(columns.joined(separator: " "), "allocations")
    }

    /// Returns the CPU time used by this process, in nanoseconds.
    private static func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

extension String {
    /// - Parameter width: The minimum width; negative to align right.
    fileprivate func padded(to width: Int) -> String {
        let space = String(repeating: " ", count: max(0, abs(width) - count))
        return width < 0 ? space + self : self + space
    }
}

/// Keeps the compiler from optimizing away the code that is measured.
@inline(never) func use<Value>(_ value: Value) {}
