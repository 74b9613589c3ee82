import AllocationCounter
import Glibc

/// One part of a request's way, measured by itself.
///
///     name                        412 ns    3.0 allocations
func measure(_ name: String, repetitions: Int = 20_000, _ body: () throws -> Void) rethrows {
    for _ in 0..<repetitions / 10 { try body() }
    var best = Double.infinity
    let allocations = allocation_count()
    for _ in 0..<7 {
        let start = processorTime()
        for _ in 0..<repetitions { try body() }
        best = min(best, (processorTime() - start) / Double(repetitions))
    }
    report(name, best, Double(allocation_count() - allocations) / Double(7 * repetitions))
}

/// As the synchronous one. What is measured must not leave its thread.
func measure(_ name: String, repetitions: Int = 20_000, _ body: () async throws -> Void) async rethrows {
    for _ in 0..<repetitions / 10 { try await body() }
    var best = Double.infinity
    let allocations = allocation_count()
    for _ in 0..<7 {
        let start = processorTime()
        for _ in 0..<repetitions { try await body() }
        best = min(best, (processorTime() - start) / Double(repetitions))
    }
    report(name, best, Double(allocation_count() - allocations) / Double(7 * repetitions))
}

private func report(_ name: String, _ nanoseconds: Double, _ allocations: Double) {
    let padded = name + String(repeating: " ", count: max(1, 44 - name.count))
    print(
        "\(padded)\(aligned(Int(nanoseconds.rounded()), 8)) ns \(aligned(Int((allocations * 10).rounded()) / 10, 6)) allocations"
    )
}

private func aligned(_ number: Int, _ width: Int) -> String {
    let text = "\(number)"
    return String(repeating: " ", count: max(0, width - text.count)) + text
}

/// Nanoseconds of CPU that this thread has used.
private func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

/// Keeps the compiler from leaving out what is measured.
@inline(never) func use<Value>(_ value: Value) {}
