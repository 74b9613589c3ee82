public import ApusCore
import Configuration
import FoundationEssentials
import Synchronization
import SystemPackage

/// The settings of a process: flags over environment over `.env` over `config/<environment>.yaml` over the defaults in the
/// code.
///
/// A key such as `http.port` is the flag `--http-port`, the variable `HTTP_PORT`, and `http: { port: … }` in YAML. Reading
/// never throws: what is missing or malformed is noted, and ``check()`` reports everything at once.
public final class Settings: Sendable {
    private struct Notes {
        var problems: [String] = []
        var known: Set<String> = ["environment"]
        var publicSecrets: Set<String> = []
    }

    /// The name of the environment, from the key `environment`: `development` unless something says otherwise.
    public let environment: String

    private let providers: [any ConfigProvider]
    private let flags: [String]
    private let notes = Mutex(Notes())

    /// - Parameters:
    ///   - arguments: The command line without the program's name and without a verb.
    ///   - variables: The environment variables.
    ///   - folder: Where `.env` and `config` are; the working directory by default.
    /// - Throws: When `.env` or the YAML file is there and malformed.
    public init(arguments: [String] = [], variables: [String: String] = [:], folder: String = ".") async throws {
        let commandLine = CommandLineArgumentsProvider(arguments: ["app"] + arguments)
        let process = EnvironmentVariablesProvider(environmentVariables: variables.filter { !$0.value.isEmpty })
        let file = try await EnvironmentVariablesProvider(
            environmentFilePath: FilePath("\(folder)/.env"), allowMissing: true)
        let sources: [any ConfigProvider] = [commandLine, process, file]
        environment = Self.first("environment", in: sources) ?? "development"
        let yaml = try await FileProvider<YAMLSnapshot>(
            filePath: FilePath("\(folder)/config/\(environment).yaml"), allowMissing: true)
        providers = sources + [yaml]
        flags = arguments.filter { $0.hasPrefix("--") }.map { String($0.dropFirst(2).prefix { $0 != "=" }) }
    }

    // MARK: Reading

    /// Text.
    public func string(_ key: String, default defaultValue: String) -> String {
        read(key, "text") { $0 } ?? defaultValue
    }

    /// Text that may be missing.
    public func string(_ key: String) -> String? { read(key, "text") { $0 } }

    /// A secret that must be there.
    /// - Parameters:
    ///   - minimumBytes: The least number of bytes that it must have.
    ///   - developmentDefault: What it is in the environment `development` if nothing says otherwise; nowhere else.
    public func secret(_ key: String, minimumBytes: Int = 1, developmentDefault: String? = nil) -> Secret<String> {
        let expected = "a secret of at least \(minimumBytes) bytes"
        let value = read(key, expected, isSecret: true) { $0.utf8.count >= minimumBytes ? $0 : nil }
        if let value { return Secret(value) }
        if environment == "development", let developmentDefault {
            notes.withLock { _ = $0.publicSecrets.insert(key) }
            return Secret(developmentDefault)
        }
        if string(key) == nil { note("\(Self.names(of: key)) is required: \(expected).") }
        return Secret("")
    }

    /// A whole number within bounds.
    public func int(_ key: String, default defaultValue: Int, in bounds: ClosedRange<Int>) -> Int {
        read(key, "a whole number from \(bounds.lowerBound) to \(bounds.upperBound)") { text in
            Int(text).flatMap { bounds.contains($0) ? $0 : nil }
        } ?? defaultValue
    }

    /// `true` or `false`. A flag without a value is `true`.
    public func bool(_ key: String, default defaultValue: Bool) -> Bool {
        read(key, "true or false") { text in
            switch text.lowercased() {
            case "true", "yes", "1", "": true
            case "false", "no", "0": false
            default: nil
            }
        } ?? defaultValue
    }

    /// A length of time: a number with `ms`, `s`, `m`, `h` or `d`, such as `250ms` or `1.5h`.
    /// - Parameter minimum: The least that makes sense.
    public func duration(_ key: String, default defaultValue: Duration, atLeast minimum: Duration = .zero) -> Duration {
        let bound = minimum > .zero ? ", at least \(minimum.seconds)s" : ""
        return read(key, "a length of time such as 250ms, 30s, 5m or 24h\(bound)") { text in
            DurationText.parse(text).flatMap { $0 >= minimum ? $0 : nil }
        } ?? defaultValue
    }

    /// One of a fixed set of words.
    public func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ key: String, default defaultValue: Value
    ) -> Value {
        let words = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return read(key, "one of \(words)") { Value(rawValue: $0) } ?? defaultValue
    }

    /// Words separated by commas.
    public func list(_ key: String) -> [String] {
        read(key, "words separated by commas") { text in
            text.split(separator: ",").map { $0.drop { $0 == " " } }.map(String.init)
        } ?? []
    }

    /// The secrets that have their development default, which everybody can read in the source.
    var publicSecrets: [String] { notes.withLock { $0.publicSecrets.sorted() } }

    // MARK: Problems

    /// Notes a problem of your own, to be reported with all others; once, however often a setting is read.
    public func note(_ problem: String) {
        notes.withLock { if !$0.problems.contains(problem) { $0.problems.append(problem) } }
    }

    /// - Throws: A ``StartupError`` that lists every problem noted so far, and every flag that nothing has asked for.
    public func check() throws {
        let (problems, known) = notes.withLock { ($0.problems, $0.known) }
        let knownFlags = Set(known.map(Self.flag))
        let unknown = Set(flags).subtracting(knownFlags).sorted().map { "--\($0) is not a flag of this program." }
        guard problems.isEmpty && unknown.isEmpty else { throw StartupError(problems: problems + unknown) }
    }

    private func read<Value>(
        _ key: String, _ expected: String, isSecret: Bool = false, _ parse: (String) -> Value?
    ) -> Value? {
        notes.withLock { _ = $0.known.insert(key) }
        guard let found = Self.first(key, in: providers) else { return nil }
        if let value = parse(found) { return value }
        let shown = isSecret ? "what is given" : "\"\(found.prefix(64))\""
        note("\(Self.names(of: key)) must be \(expected); \(shown) is not.")
        return nil
    }

    private static func first(_ key: String, in providers: [any ConfigProvider]) -> String? {
        let path = AbsoluteConfigKey(ConfigKey(key))
        for provider in providers {
            if let text = text(path, in: provider), !text.isEmpty || provider is CommandLineArgumentsProvider {
                return text
            }
        }
        return nil
    }

    /// A scalar as text, whatever its kind: YAML knows numbers and truth values, the others text alone.
    private static func text(_ key: AbsoluteConfigKey, in provider: any ConfigProvider) -> String? {
        for type in [ConfigType.string, .int, .double, .bool] {
            guard let value = try? provider.value(forKey: key, type: type).value else { continue }
            switch value.content {
            case .string(let text): return text
            case .int(let number): return String(number)
            case .double(let number): return String(number)
            case .bool(let flag): return String(flag)
            case .bytes, .stringArray, .intArray, .doubleArray, .boolArray, .byteChunkArray: continue
            }
        }
        return nil
    }

    private static func flag(_ key: String) -> String { key.split(separator: ".").joined(separator: "-") }

    /// All the names of a key: whoever mends a problem sees where.
    private static func names(of key: String) -> String {
        let variable = flag(key).uppercased().split(separator: "-").joined(separator: "_")
        return "\(key) (--\(flag(key)), \(variable))"
    }
}

/// Lengths of time as text.
enum DurationText {
    static func parse(_ text: String) -> Duration? {
        let number = text.prefix { $0.isNumber || $0 == "." }
        guard let value = Double(number), value >= 0, value < 1e9 else { return nil }
        switch text[number.endIndex...] {
        case "ms": return .milliseconds(value)
        case "s": return .seconds(value)
        case "m": return .seconds(value * 60)
        case "h": return .seconds(value * 3600)
        case "d": return .seconds(value * 86400)
        default: return nil
        }
    }
}
