import ApusCore
import Configuration

/// A source of settings.
struct SettingSource: Sendable {
    /// The value of a key.
    enum Value {
        case text(String)
        /// A sequence of YAML.
        case words([String])
    }

    private enum Origin {
        case provider(ConfigReader)
        case flags([String: String?])
    }

    private let origin: Origin

    init(_ provider: some ConfigProvider) { origin = .provider(ConfigReader(provider: provider)) }

    init(_ flags: FlagArguments) { origin = .flags(flags.values) }

    /// Returns the value of a key; `nil` if it is missing. Empty text counts as missing, except in a flag: `--docs-enabled`
    /// means `true`.
    func value(_ key: String) -> Value? {
        switch origin {
        case .flags(let values): return values[SettingDeclaration.flag(key)].map { .text($0 ?? "") }
        case .provider(let reader):
            let key = ConfigKey(key)
            if let text = reader.string(forKey: key) { return text.isEmpty ? nil : .text(text) }
            return reader.stringArray(forKey: key).map(Value.words)
        }
    }

    func text(_ key: String) -> String? {
        if case .text(let text)? = value(key) { text } else { nil }
    }
}

/// The flags of a command line: `--key=value`, `--key value`, or `--key` alone.
struct FlagArguments {
    private(set) var values: [String: String?] = [:]
    private(set) var problems: [String] = []

    init(_ arguments: [String]) {
        var open: String?
        for argument in arguments {
            if argument.starts(withBytesOf: "--") {
                let text = Substring(argument.utf8.dropFirst(2))
                let parts = text.split(at: "=", maximumSplits: 1, omittingEmpty: false)
                let name = String(parts[0])
                if values[name] != nil { problems.append("--\(name) is given twice.") }
                values[name] = .some(parts.count == 2 ? String(parts[1]) : nil)
                open = parts.count == 2 ? nil : name
            } else if let name = open {
                values[name] = .some(argument)
                open = nil
            } else {
                problems.append("\"\(argument)\" is neither a role nor a flag: flags are written --key=value.")
            }
        }
    }
}
