import Logging

/// Writes the JSON of log lines. Control characters are escaped, so that values from clients cannot break a line.
enum JSONText {
    static func write(_ value: Logger.MetadataValue, into line: inout String) {
        switch value {
        case .string(let text): write(text, into: &line)
        case .stringConvertible(let value as any BinaryInteger): line += "\(value)"
        case .stringConvertible(let value as Double) where value.isFinite: line += "\(rounded(value))"
        case .stringConvertible(let value as Bool): line += "\(value)"
        case .stringConvertible(let value): write("\(value)", into: &line)
        case .array(let values):
            line += "["
            for (index, value) in values.enumerated() {
                if index > 0 { line += "," }
                write(value, into: &line)
            }
            line += "]"
        case .dictionary(let fields):
            line += "{"
            for (index, field) in fields.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { line += "," }
                write(field.key, into: &line)
                line += ":"
                write(field.value, into: &line)
            }
            line += "}"
        }
    }

    /// Three decimals are enough for a reader; values this large have none.
    private static func rounded(_ value: Double) -> Double {
        value.magnitude < 1e15 ? (value * 1000).rounded() / 1000 : value
    }

    static func write(_ text: String, into line: inout String) {
        line += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            case _ where scalar.isControl:
                let hex = String(scalar.value, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: line.unicodeScalars.append(scalar)
            }
        }
        line += "\""
    }

    /// Returns a text with its control characters escaped, because terminals would interpret them.
    static func escapingControls(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: \.isControl) else { return text }
        return text.unicodeScalars.map { scalar in
            scalar.isControl ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
        }.joined()
    }
}

extension Unicode.Scalar {
    /// Whether a terminal or viewer may interpret the scalar as a command or a line break: C0 and C1 control
    /// characters, DEL, and the Unicode line and paragraph separators.
    fileprivate var isControl: Bool {
        switch value {
        case 0..<0x20, 0x7F...0x9F, 0x2028, 0x2029: true
        default: false
        }
    }
}
