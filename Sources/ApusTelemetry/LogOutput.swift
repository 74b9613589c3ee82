#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The destination of log lines.
///
/// The standard streams are written by a thread of their own, so that whoever logs never waits for who reads: not an event loop
/// either. When the reader does not keep up, lines are dropped and counted; the next line that has room says how many.
public struct LogOutput: Sendable {
    private let writer: LineWriter?
    private let function: @Sendable (String) -> Void

    /// Lines for a function: for tests.
    public init(_ write: @escaping @Sendable (String) -> Void) {
        writer = nil
        function = write
    }

    package init(_ writer: LineWriter) {
        self.writer = writer
        function = { _ in }
    }

    /// The process's standard output.
    public static let standardOutput = LogOutput(LineWriter(descriptor: STDOUT_FILENO))

    /// The process's standard error, for programs whose output is something else.
    public static let standardError = LogOutput(LineWriter(descriptor: STDERR_FILENO))

    /// Writes a line, which ends in a line feed. Never blocks.
    /// - Parameter dropped: How many dropped lines it tells of: they count again if it is dropped itself.
    package func write(_ line: String, reporting dropped: Int = 0) {
        guard let writer else { return function(line) }
        writer.write(line, reporting: dropped)
    }

    /// How many lines were dropped, to be told of by the next one.
    package func takeDropped() -> Int { writer?.takeDropped() ?? 0 }

    /// Waits until all lines are written, for a second at most: at the end of a process.
    package func flush() { writer?.flush() }
}
