public import ApusCore
import Configuration
import FoundationEssentials
import Synchronization
import SystemPackage

/// The settings of a process. They are read from flags, environment variables, `.env`, `config/<environment>.yaml` and the
/// default in the code, in this order of precedence.
///
/// A key such as `http.port` is the flag `--http-port`, the variable `HTTP_PORT`, and `http: { port: … }` in YAML. A flag is
/// written `--http-port=80` or `--http-port 80`. Reading never throws: missing and malformed values are recorded, and
/// ``check()`` reports all of them at once.
public final class Settings: Sendable {
    private struct Notes {
        var problems: [String] = []
        var declarations: [SettingDeclaration] = []
        var publicSecrets: Set<String> = []
    }

    /// The name of the environment, from the key `environment`: `development` unless something says otherwise.
    public let environment: String

    private let sources: [SettingSource]
    private let flags: [String]
    /// The path of the YAML file and its keys.
    private let file: (path: String, keys: [String])
    private let notes = Mutex(Notes())

    /// - Parameters:
    ///   - arguments: The command line without the program's name and without a role.
    ///   - variables: The environment variables. An empty one counts as missing.
    ///   - folder: The directory that contains `.env` and `config`; the working directory by default.
    /// - Throws: An error if `.env` or the YAML file exists and cannot be read, or if the YAML file is malformed.
    public init(arguments: [String] = [], variables: [String: String] = [:], folder: String = ".") async throws {
        let line = FlagArguments(arguments)
        flags = line.values.keys.sorted()
        let variables = EnvironmentVariablesProvider(environmentVariables: variables)
        let dotEnv = try EnvironmentFile(path: "\(folder)/.env")
        let sources = [
            SettingSource(line), SettingSource(variables),
            SettingSource(EnvironmentVariablesProvider(environmentVariables: dotEnv.variables)),
        ]
        environment = sources.lazy.compactMap { $0.text("environment") }.first ?? "development"
        let path = "\(folder)/config/\(environment).yaml"
        let recorder = KeyRecorder()
        // The provider does not list its keys, but asks for each of them whether it is a secret.
        let options = YAMLSnapshot.ParsingOptions(
            secretsSpecifier: .dynamic { key, _ in
                recorder.record(key)
                return false
            })
        let yaml = try await FileProvider<YAMLSnapshot>(
            parsingOptions: options, filePath: FilePath(path), allowMissing: true)
        file = (path, recorder.keys)
        self.sources = sources + [SettingSource(yaml)]
        notes.withLock { $0.problems = line.problems + dotEnv.problems }
        _ = string("environment", default: "development")
    }

    /// Creates settings that have only defaults, to describe them.
    init() {
        environment = "development"
        sources = []
        flags = []
        file = ("", [])
        _ = string("environment", default: "development")
    }

    // MARK: Reading

    /// Reads text.
    public func string(_ key: String, default defaultValue: String) -> String {
        read(key, "text", default: defaultValue) { $0 } ?? defaultValue
    }

    /// Reads text; `nil` if it is missing.
    public func string(_ key: String) -> String? { read(key, "text", default: nil) { $0 } }

    /// Reads a required secret.
    /// - Parameters:
    ///   - minimumBytes: Its minimum length in bytes.
    ///   - developmentDefault: The value if it is missing in the environment `development`. It has no effect in others.
    public func secret(_ key: String, minimumBytes: Int = 1, developmentDefault: String? = nil) -> Secret<String> {
        let expected = "a secret of at least \(minimumBytes) bytes"
        let fallback = developmentDefault == nil ? "none, it is required" : "a public one in development, else required"
        let value = read(key, expected, default: fallback, isSecret: true) {
            $0.utf8.count >= minimumBytes ? $0 : nil
        }
        if let value { return Secret(value) }
        if environment == "development", let developmentDefault {
            notes.withLock { _ = $0.publicSecrets.insert(key) }
            return Secret(developmentDefault)
        }
        if found(key) == nil { reportProblem("\(SettingDeclaration.names(of: key)) is required: \(expected).") }
        return Secret("")
    }

    /// Reads a secret that may be missing, for example because what it protects is off then.
    /// - Parameter minimumBytes: Its minimum length in bytes.
    /// - Returns: `nil` if it is missing.
    public func optionalSecret(_ key: String, minimumBytes: Int = 1) -> Secret<String>? {
        read(key, "a secret of at least \(minimumBytes) bytes", default: nil, isSecret: true) {
            $0.utf8.count >= minimumBytes ? $0 : nil
        }.map { Secret($0) }
    }

    /// Reads an integer within bounds.
    public func int(_ key: String, default defaultValue: Int, in bounds: ClosedRange<Int>) -> Int {
        let expected = "an integer from \(bounds.lowerBound) to \(bounds.upperBound)"
        return read(key, expected, default: "\(defaultValue)") { text in
            // `Int` also reads "+80".
            text.utf8.first == UInt8(ascii: "+") ? nil : Int(text).flatMap { bounds.contains($0) ? $0 : nil }
        } ?? defaultValue
    }

    /// Reads `true` or `false`, `yes` or `no`, `1` or `0`, in any case. A flag without a value is `true`.
    public func bool(_ key: String, default defaultValue: Bool) -> Bool {
        read(key, "true or false", default: "\(defaultValue)") { text in
            switch text.asciiLowercased {
            case "true", "yes", "1", "": true
            case "false", "no", "0": false
            default: nil
            }
        } ?? defaultValue
    }

    /// Reads a duration: a number with `ms`, `s`, `m`, `h` or `d`, such as `250ms` or `1.5h`.
    /// - Parameter minimum: The minimum duration.
    public func duration(_ key: String, default defaultValue: Duration, atLeast minimum: Duration = .zero) -> Duration {
        let bound = minimum > .zero ? ", at least \(DurationText.text(of: minimum))" : ""
        let expected = "a duration such as 250ms, 30s, 5m or 24h\(bound)"
        return read(key, expected, default: DurationText.text(of: defaultValue)) { text in
            DurationText.parse(text).flatMap { $0 >= minimum ? $0 : nil }
        } ?? defaultValue
    }

    /// Reads one of the raw values of an enumeration.
    public func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ key: String, default defaultValue: Value
    ) -> Value {
        let words = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return read(key, "one of \(words)", default: defaultValue.rawValue) { Value(rawValue: $0) } ?? defaultValue
    }

    /// Reads a list: values separated by commas, or a sequence in YAML.
    public func list(_ key: String) -> [String] {
        declare(key, "values separated by commas", default: nil)
        return switch found(key) {
        case .text(let text): text.split(at: ",").map { String($0.trimmed) }
        case .words(let words): words
        case nil: []
        }
    }

    /// The secrets with their development default, which is public in the source code.
    var publicSecrets: [String] { notes.withLock { $0.publicSecrets.sorted() } }

    // MARK: Problems

    /// Records a problem, to be reported with all others. The same text is only recorded once.
    public func reportProblem(_ problem: String) {
        notes.withLock { if !$0.problems.contains(problem) { $0.problems.append(problem) } }
    }

    /// - Throws: A ``StartupError`` that lists every recorded problem, and every flag and every key of the YAML file that
    ///   no code has read.
    public func check() throws {
        let (problems, declarations) = notes.withLock { ($0.problems, $0.declarations) }
        let unknown = unknownFlags(declarations.map(\.flag)) + unknownKeys(declarations.map(\.key))
        guard problems.isEmpty && unknown.isEmpty else { throw StartupError(problems: problems + unknown) }
    }

    private func unknownFlags(_ known: [String]) -> [String] {
        flags.filter { !known.containsExactly($0) }.map {
            "--\($0) is not a flag of this program." + CloseMatch.suggestion(for: $0, among: known, prefix: "--")
        }
    }

    private func unknownKeys(_ known: [String]) -> [String] {
        let unknown = file.keys.filter { key in
            // A key without a value, such as `http:`, may be the beginning of others.
            !known.containsExactly(key) && !known.contains { $0.starts(withBytesOf: key + ".") }
        }
        return unknown.map {
            "\(file.path) has the unknown key \($0)." + CloseMatch.suggestion(for: $0, among: known)
        }
    }

    /// The settings that were read, in the order of their first reading.
    var declarations: [SettingDeclaration] { notes.withLock { $0.declarations } }

    private func read<Value>(
        _ key: String, _ expected: String, default fallback: String?, isSecret: Bool = false,
        _ parse: (String) -> Value?
    ) -> Value? {
        declare(key, expected, default: fallback)
        let shown: String
        switch found(key) {
        case .text(let text):
            if let value = parse(text) { return value }
            shown = isSecret ? "what is given" : "\"\(text.prefix(64))\""
        case .words: shown = "a list"
        case nil: return nil
        }
        reportProblem("\(SettingDeclaration.names(of: key)) must be \(expected); \(shown) is not.")
        return nil
    }

    private func declare(_ key: String, _ expected: String, default fallback: String?) {
        notes.withLock { notes in
            guard !notes.declarations.contains(where: { $0.key == key }) else { return }
            notes.declarations.append(SettingDeclaration(key: key, expected: expected, fallback: fallback))
        }
    }

    private func found(_ key: String) -> SettingSource.Value? {
        sources.lazy.compactMap { $0.value(key) }.first
    }
}

/// Collects the keys of a file while it is parsed.
private final class KeyRecorder: Sendable {
    private let recorded = Mutex<Set<String>>([])

    var keys: [String] { recorded.withLock { $0.sorted() } }

    func record(_ key: String) { recorded.withLock { _ = $0.insert(key) } }
}
