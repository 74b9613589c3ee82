import ApusCore
import FoundationEssentials

/// The variables of a `.env` file.
///
/// Each line is empty, a comment that begins with `#`, or `NAME=value`, with or without `export` in front. White space
/// around the name and the value is ignored. If the value is in double or single quotes, they are removed; between them,
/// it is literal: nothing is expanded or unescaped. If a name occurs twice, the last value is used.
struct EnvironmentFile {
    private(set) var variables: [String: String] = [:]
    private(set) var problems: [String] = []

    /// Reads a file; a missing one has no variables.
    /// - Throws: An error if the file cannot be read.
    init(path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        let bytes = try Data(contentsOf: URL(filePath: path))
        guard let text = String(validating: bytes, as: UTF8.self) else {
            problems.append("\(path) is not valid UTF-8.")
            return
        }
        read(text, path)
    }

    private mutating func read(_ text: String, _ path: String) {
        let byteOrderMark = "\u{FEFF}"
        let hasMark = text.starts(withBytesOf: byteOrderMark)
        let content = Substring(text.utf8.dropFirst(hasMark ? byteOrderMark.utf8.count : 0))
        for (index, line) in content.split(at: "\n", omittingEmpty: false).enumerated() {
            let line = Self.withoutCarriageReturn(line).trimmed
            guard !line.isEmpty, !line.starts(withBytesOf: "#") else { continue }
            guard let (before, after) = line.cut(at: "="), let name = Self.name(before) else {
                // Without the line, which may have a secret in it.
                problems.append("Line \(index + 1) of \(path) must be NAME=value or a comment that begins with #.")
                continue
            }
            variables[name] = String(Self.unquoted(after.trimmed))
        }
    }

    private static func withoutCarriageReturn(_ line: Substring) -> Substring {
        line.utf8.last == UInt8(ascii: "\r") ? Substring(line.utf8.dropLast()) : line
    }

    private static func name(_ text: Substring) -> String? {
        var name = text.trimmed
        for prefix in ["export ", "export\t"] where name.starts(withBytesOf: prefix) {
            name = Substring(name.utf8.dropFirst(prefix.utf8.count)).trimmed
            break
        }
        return name.isEmpty ? nil : String(name)
    }

    private static func unquoted(_ value: Substring) -> Substring {
        guard value.utf8.count >= 2, let quote = value.utf8.first, quote == value.utf8.last,
            quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'")
        else { return value }
        return Substring(value.utf8.dropFirst().dropLast())
    }
}
