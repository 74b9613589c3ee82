import ApusCore
import Configuration

/// One place that settings come from.
struct SettingSource: Sendable {
    /// What a place says about a key.
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

    /// - Returns: `nil` for what is missing. An empty text counts as missing, except as a flag: `--docs-enabled` says yes.
    func value(_ key: String) -> Value? {
        let key = ConfigKey(key)
        // The provider cuts every flag at its commas, and gives nothing at all when asked for one text.
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
