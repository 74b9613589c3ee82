/// The description of a setting in the help.
struct SettingDeclaration {
    let key: String
    /// The values it accepts.
    let expected: String
    /// Its default; `nil` if there is none.
    let fallback: String?

    /// Its name on the command line, without the hyphens in front.
    var flag: String { Self.flag(key) }

    /// Its name among the environment variables.
    var variable: String { Self.variable(key) }

    /// The key with its flag and variable, for error messages.
    static func names(of key: String) -> String { "\(key) (--\(flag(key)), \(variable(key)))" }

    static func flag(_ key: String) -> String { key.split(separator: ".").joined(separator: "-") }

    private static func variable(_ key: String) -> String {
        flag(key).uppercased().split(separator: "-").joined(separator: "_")
    }
}

extension Settings {
    /// The list of settings in the help.
    var help: String {
        let lines = declarations.map {
            "  --\($0.flag), \($0.variable)\n      \($0.expected)\n      default: \($0.fallback ?? "none")"
        }
        return """
            SETTINGS: as flags, environment variables, or keys of config/<environment>.yaml

            \(lines.joined(separator: "\n"))
            """
    }
}
