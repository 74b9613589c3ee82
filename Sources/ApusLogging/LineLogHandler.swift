import ApusCore
import FoundationEssentials
public import Logging

/// A swift-log handler that writes one line per event, to standard output by default.
///
/// In JSON, a line has `time`, `level`, `logger` and `message`, followed by the metadata. Metadata with one of these names
/// is written into an object `metadata`, so that no name occurs twice; so is metadata that is itself named `metadata`.
///
/// Values whose names suggest a secret, such as `password` or `authorization`, are replaced by `<redacted>`.
public struct LineLogHandler: LogHandler {
    /// The format of log lines.
    public enum Format: String, Sendable, CaseIterable {
        /// A JSON object, for log processing.
        case json
        /// Time, level, message and `name=value` pairs, for reading in a terminal.
        case text
    }

    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?
    public var logLevel: Logger.Level

    private let label: String
    private let format: Format
    private let output: LogOutput

    /// Creates a handler.
    /// - Parameters:
    ///   - label: The name of the logger.
    ///   - format: The format of log lines.
    ///   - level: The minimum level; events below it are dropped.
    ///   - output: The destination of log lines.
    public init(label: String, format: Format, level: Logger.Level = .info, output: LogOutput = .standardOutput) {
        self.label = label
        self.format = format
        self.output = output
        logLevel = level
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let explicit = event.metadata { all.merge(explicit) { $1 } }
        let fields = all.sorted { $0.key < $1.key }
        let dropped = output.takeDropCount()
        let time = RFC3339.format(Date()) ?? ""
        var line = ""
        if dropped > 0 {
            write(.warning, "Log lines were dropped.", [("count", .stringConvertible(dropped))], time, into: &line)
            line += "\n"
        }
        write(event.level, "\(event.message)", fields, time, into: &line)
        line += "\n"
        output.write(line, reporting: dropped)
    }

    private func write(
        _ level: Logger.Level, _ message: String, _ fields: [(key: String, value: Logger.MetadataValue)],
        _ time: String, into line: inout String
    ) {
        switch format {
        case .json: writeJSON(level, message, fields, time, into: &line)
        case .text: writeText(level, message, fields, time, into: &line)
        }
    }

    private func writeJSON(
        _ level: Logger.Level, _ message: String, _ fields: [(key: String, value: Logger.MetadataValue)],
        _ time: String,
        into line: inout String
    ) {
        line += "{\"time\":\"\(time)\",\"level\":\"\(level)\",\"logger\":"
        JSONText.write(label, into: &line)
        line += ",\"message\":"
        JSONText.write(message, into: &line)
        var clashing: Logger.Metadata = [:]
        for (key, value) in fields {
            guard !Self.reservedNames.containsExactly(key) else {
                clashing[key] = Redaction.apply(to: value, under: key)
                continue
            }
            line += ","
            JSONText.write(key, into: &line)
            line += ":"
            JSONText.write(Redaction.apply(to: value, under: key), into: &line)
        }
        if !clashing.isEmpty {
            line += ",\"metadata\":"
            JSONText.write(.dictionary(clashing), into: &line)
        }
        line += "}"
    }

    /// The names that metadata cannot have in a JSON line.
    private static let reservedNames = ["time", "level", "logger", "message", "metadata"]

    private func writeText(
        _ level: Logger.Level, _ message: String, _ fields: [(key: String, value: Logger.MetadataValue)],
        _ time: String,
        into line: inout String
    ) {
        line += "\(time) \(level) \(JSONText.escapingControls(message))"
        for (key, value) in fields {
            line +=
                " \(JSONText.escapingControls(key))=\(JSONText.escapingControls("\(Redaction.apply(to: value, under: key))"))"
        }
    }
}
