import ApusData
import Logging
import Synchronization
import Testing

@Suite struct QueryLogTests {
    private final class Lines: LogHandler, Sendable {
        private let lines = Mutex<[String]>([])
        let level: Logger.Level
        var all: [String] { lines.withLock { $0 } }
        var metadata: Logger.Metadata {
            get { [:] }
            set {}
        }
        var logLevel: Logger.Level {
            get { level }
            set {}
        }

        init(level: Logger.Level) { self.level = level }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { nil }
            set {}
        }

        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            lines.withLock { $0.append("\(event.level) \(event.message) \(fields.joined(separator: " "))") }
        }
    }

    private func lines(at level: Logger.Level, _ durations: Duration...) -> [String] {
        let lines = Lines(level: level)
        let log = QueryLog(Logger(label: "test") { _ in lines }, dialect: .sqlite, slowQuery: .milliseconds(500))
        for duration in durations {
            log.record("SELECT \("secret") FROM t", duration: duration, rows: 3)
        }
        return lines.all
    }

    @Test func `A statement is logged at debug level, with its duration and rows but without values`() {
        #expect(
            lines(at: .debug, .microseconds(1500)) == ["debug query duration_ms=1.5 rows=3 sql=SELECT ? FROM t"])
        #expect(lines(at: .info, .microseconds(1500)) == [])
    }

    @Test func `A slow statement is a warning`() {
        #expect(
            lines(at: .info, .milliseconds(499), .milliseconds(500))
                == ["warning slow query duration_ms=500.0 rows=3 sql=SELECT ? FROM t"])
    }
}
