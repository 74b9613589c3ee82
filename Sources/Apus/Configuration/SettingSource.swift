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

    private let reader: ConfigReader
    private let areFlags: Bool

    init(_ provider: some ConfigProvider) {
        reader = ConfigReader(provider: provider)
        areFlags = false
    }

    private init(flags: CommandLineArgumentsProvider) {
        reader = ConfigReader(provider: flags)
        areFlags = true
    }

    static func flags(_ provider: CommandLineArgumentsProvider) -> SettingSource { SettingSource(flags: provider) }

    /// Returns the value of a key; `nil` if it is missing. Empty text counts as missing, except in a flag: `--docs-enabled`
    /// means `true`.
    func value(_ key: String) -> Value? {
        let key = ConfigKey(key)
        // The provider splits the value of a flag at commas, and returns `nil` for a string if there are several parts.
        if areFlags { return reader.stringArray(forKey: key).map { .text($0.joined(separator: ",")) } }
        if let text = reader.string(forKey: key) { return text.isEmpty ? nil : .text(text) }
        return reader.stringArray(forKey: key).map(Value.words)
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
            if argument.hasPrefix("--") {
                let parts = argument.dropFirst(2).split(
                    separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
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

    var provider: CommandLineArgumentsProvider {
        let arguments = values.map { name, value in value.map { "--\(name)=\($0)" } ?? "--\(name)" }
        return CommandLineArgumentsProvider(arguments: ["app"] + arguments)
    }
}
