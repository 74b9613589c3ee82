/// A setting as the help describes it.
struct SettingDeclaration {
    let key: String
    /// What its value must be.
    let expected: String
    /// What it is when nothing says anything.
    let fallback: String?

    /// Its name on the command line, without the hyphens in front.
    var flag: String { Self.flag(key) }

    /// Its name among the environment variables.
    var variable: String { Self.variable(key) }

    /// All the names of a key: whoever mends a problem sees where.
    static func names(of key: String) -> String { "\(key) (--\(flag(key)), \(variable(key)))" }

    private static func flag(_ key: String) -> String { key.split(separator: ".").joined(separator: "-") }

    private static func variable(_ key: String) -> String {
        flag(key).uppercased().split(separator: "-").joined(separator: "_")
    }
}

extension Settings {
    /// All settings that have been asked for, as the help lists them.
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
