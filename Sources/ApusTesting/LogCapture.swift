package import ApusLogging
import Synchronization

/// A log output that keeps the lines for a test to inspect.
public final class LogCapture: Sendable {
    private let captured = Mutex<[String]>([])

    public init() {}

    /// The lines logged so far, without line terminators.
    public var lines: [String] { captured.withLock { $0 } }

    package var output: LogOutput {
        LogOutput { line in self.captured.withLock { $0.append(String(line.dropLast())) } }
    }
}
