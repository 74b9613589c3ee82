/// A type that declares its validation rules.
///
/// ```swift
/// struct Place: Decodable, Validatable {
///     var latitude: Double
///     var longitude: Double
///
///     static let rules: [Rule<Place>] = [
///         Rule("latitude", \.latitude, .range(-90...90)),
///         Rule("longitude", \.longitude, .range(-180...180)),
///     ]
/// }
/// ```
public protocol Validatable {
    /// The rules, in the order in which failures are reported.
    static var rules: [Rule<Self>] { get }
}

extension Validatable {
    /// Returns the failures of all rules, or an empty array if the value is valid.
    /// - Parameter pointer: The location of the value in the input.
    public func validationFailures(at pointer: JSONPointer = .root) -> [ValidationFailure] {
        var failures: [ValidationFailure] = []
        for rule in Self.rules { rule.check(self, pointer, &failures) }
        return failures
    }

    /// Checks all rules.
    /// - Throws: An ``AppError`` with all failures if a rule is broken.
    public func validate() throws {
        let failures = validationFailures()
        guard failures.isEmpty else { throw AppError(failures: failures) }
    }

    /// Returns what is wrong with the rules of this type and of the types nested in it, each in a sentence.
    package static func problemsOfRules() -> [String] {
        var report = RuleReport()
        addProblems(to: &report)
        return report.problems
    }

    fileprivate static func addProblems(to report: inout RuleReport) {
        // Types may contain themselves.
        guard report.visited.insert(ObjectIdentifier(Self.self)).inserted else { return }
        for rule in rules { rule.addProblems("\(Self.self)", &report) }
    }
}

/// The problems of the rules of a type and of the types nested in it.
private struct RuleReport {
    var visited: Set<ObjectIdentifier> = []
    var problems: [String] = []
}

/// The constraints on one field of a type.
///
/// The constraints of a rule are checked in order, up to the first that the value breaks: list a cheap one, such as
/// `.length`, before one that depends on it, such as `.pattern`. Rules are independent of each other, and all are checked.
public struct Rule<Root>: Sendable {
    /// The name of the field in the input.
    package let name: String
    /// The schema keywords of the field.
    package let keywords: [SchemaKeyword]
    let check: @Sendable (Root, JSONPointer, inout [ValidationFailure]) -> Void
    /// Adds the problems of this rule of the named type to a report.
    fileprivate let addProblems: @Sendable (String, inout RuleReport) -> Void

    /// Creates a rule.
    /// - Parameters:
    ///   - name: The name of the field in the input.
    ///   - value: The key path of the field.
    ///   - constraints: The constraints that the value must satisfy. Only the first broken one is reported.
    public init<Value>(
        _ name: String, _ value: any KeyPath<Root, Value> & Sendable, _ constraints: Constraint<Value>...
    ) {
        self.name = name
        keywords = constraints.flatMap(\.keywords)
        addProblems = Self.report(name, constraints.compactMap(\.problem))
        check = { root, pointer, failures in
            Self.check(root[keyPath: value], at: pointer.appending(name), constraints, &failures)
        }
    }

    /// Creates a rule for an optional field. A missing field is not checked.
    public init<Value>(
        _ name: String, _ value: any KeyPath<Root, Value?> & Sendable, _ constraints: Constraint<Value>...
    ) {
        self.name = name
        keywords = constraints.flatMap(\.keywords)
        addProblems = Self.report(name, constraints.compactMap(\.problem))
        check = { root, pointer, failures in
            guard let value = root[keyPath: value] else { return }
            Self.check(value, at: pointer.appending(name), constraints, &failures)
        }
    }

    /// Returns a rule that applies the rules of the field's own type.
    public static func nested<Value: Validatable & SendableMetatype>(
        _ name: String, _ value: any KeyPath<Root, Value> & Sendable
    ) -> Rule {
        Rule(name, addProblems: { _, report in Value.addProblems(to: &report) }) { root, pointer, failures in
            failures += root[keyPath: value].validationFailures(at: pointer.appending(name))
        }
    }

    /// Returns a rule that applies the rules of the element type to each element of an array.
    public static func each<Value: Validatable & SendableMetatype>(
        _ name: String, _ values: any KeyPath<Root, [Value]> & Sendable
    ) -> Rule {
        Rule(name, addProblems: { _, report in Value.addProblems(to: &report) }) { root, pointer, failures in
            let list = pointer.appending(name)
            for (index, element) in root[keyPath: values].enumerated() {
                failures += element.validationFailures(at: list.appending(index))
            }
        }
    }

    private init(
        _ name: String, addProblems: @escaping @Sendable (String, inout RuleReport) -> Void,
        check: @escaping @Sendable (Root, JSONPointer, inout [ValidationFailure]) -> Void
    ) {
        self.name = name
        keywords = []
        self.addProblems = addProblems
        self.check = check
    }

    private static func report(
        _ name: String, _ problems: [String]
    ) -> @Sendable (String, inout RuleReport) -> Void {
        { type, report in report.problems += problems.map { "The rule \"\(name)\" of \(type) \($0)." } }
    }

    private static func check<Value>(
        _ value: Value, at pointer: JSONPointer, _ constraints: [Constraint<Value>],
        _ failures: inout [ValidationFailure]
    ) {
        guard let broken = constraints.first(where: { !$0.holds(value) }) else { return }
        failures.append(ValidationFailure(pointer: pointer.description, code: broken.code, message: broken.message))
    }
}
