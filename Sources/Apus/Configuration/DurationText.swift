import ApusCore

/// Durations as text.
enum DurationText {
    private static let units: [(name: String, length: Duration)] = [
        ("ms", .milliseconds(1)), ("s", .seconds(1)), ("m", .seconds(60)), ("h", .seconds(3600)),
        ("d", .seconds(86400)),
    ]

    static func parse(_ text: String) -> Duration? {
        let number = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
        guard let value = Double(number), value >= 0, value < 1e9 else { return nil }
        let name = text[number.endIndex...]
        return units.first { $0.name == name }.map { .seconds($0.length.seconds * value) }
    }

    /// In the largest unit that needs no fraction.
    static func text(of duration: Duration) -> String {
        let unit = units.last { unit in
            unit.length <= duration && (duration.seconds / unit.length.seconds).isInteger
        }
        guard let unit else { return duration == .zero ? "0s" : "\(duration.seconds)s" }
        return "\(Int(duration.seconds / unit.length.seconds))\(unit.name)"
    }
}

extension Double {
    fileprivate var isInteger: Bool { rounded() == self }
}
