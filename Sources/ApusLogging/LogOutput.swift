#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The destination of log lines.
///
/// Lines for the standard streams are written by dedicated threads, so that logging never blocks, in particular not on
/// an event loop. If the reader does not keep up, lines are dropped and counted; the next line that fits reports how
/// many.
public struct LogOutput: Sendable {
    private let writer: LineWriter?
    private let function: @Sendable (String) -> Void

    /// Creates an output that passes lines to a function, for tests.
    public init(_ write: @escaping @Sendable (String) -> Void) {
        writer = nil
        function = write
    }

    package init(_ writer: LineWriter) {
        self.writer = writer
        function = { _ in }
    }

    /// The standard output of the process.
    public static let standardOutput = LogOutput(LineWriter(descriptor: STDOUT_FILENO))

    /// The standard error of the process, for programs that use standard output for other data.
    public static let standardError = LogOutput(LineWriter(descriptor: STDERR_FILENO))

    /// Writes a line. Never blocks on a standard stream.
    /// - Parameters:
    ///   - line: The line, including its line feed.
    ///   - dropped: The number of dropped lines that the line reports. They are counted again if it is dropped itself.
    package func write(_ line: String, reporting dropped: Int = 0) {
        guard let writer else { return function(line) }
        writer.write(line, reporting: dropped)
    }

    /// Returns the number of dropped lines, for the next line to report, and resets it.
    package func takeDropCount() -> Int { writer?.takeDropCount() ?? 0 }

    /// Waits until all lines are written, for at most one second. Called before the process exits.
    package func flush() { writer?.flush() }
}
