package import ApusTelemetry
import Synchronization

/// Keeps log lines for a test to look at.
public final class LogCapture: Sendable {
    private let captured = Mutex<[String]>([])

    public init() {}

    /// The lines so far, without their line ends.
    public var lines: [String] { captured.withLock { $0 } }

    package var output: LogOutput {
        LogOutput { line in self.captured.withLock { $0.append(String(line.dropLast())) } }
    }
}
