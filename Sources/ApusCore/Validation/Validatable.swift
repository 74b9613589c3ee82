/// A type that declares its rules once.
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
    /// The rules, in the order in which their failures are reported.
    static var rules: [Rule<Self>] { get }
}

extension Validatable {
    /// Every failure at once; empty if all rules hold.
    public func validationFailures(at pointer: JSONPointer = .root) -> [ValidationFailure] {
        var failures: [ValidationFailure] = []
        for rule in Self.rules { rule.check(self, pointer, &failures) }
        return failures
    }

    /// - Throws: An ``AppError`` that lists every failure.
    public func validate() throws {
        let failures = validationFailures()
        guard failures.isEmpty else { throw AppError(failures: failures) }
    }
}

/// What one field of a type must fulfil.
public struct Rule<Root>: Sendable {
    /// The field's name in the input.
    package let name: String
    /// What a schema says of the field.
    package let keywords: [SchemaKeyword]
    let check: @Sendable (Root, JSONPointer, inout [ValidationFailure]) -> Void

    /// - Parameters:
    ///   - name: The field's name in the input.
    ///   - value: Where the field is in the type.
    ///   - constraints: All that it must fulfil.
    public init<Value>(
        _ name: String, _ value: any KeyPath<Root, Value> & Sendable, _ constraints: Constraint<Value>...
    ) {
        self.name = name
        keywords = constraints.flatMap(\.keywords)
        check = { root, pointer, failures in
            Self.check(root[keyPath: value], at: pointer.appending(name), constraints, &failures)
        }
    }

    /// The same for a field that may be missing: nothing is checked then.
    public init<Value>(
        _ name: String, _ value: any KeyPath<Root, Value?> & Sendable, _ constraints: Constraint<Value>...
    ) {
        self.name = name
        keywords = constraints.flatMap(\.keywords)
        check = { root, pointer, failures in
            guard let value = root[keyPath: value] else { return }
            Self.check(value, at: pointer.appending(name), constraints, &failures)
        }
    }

    /// A field that has rules of its own.
    public static func nested<Value: Validatable & SendableMetatype>(
        _ name: String, _ value: any KeyPath<Root, Value> & Sendable
    ) -> Rule {
        Rule(name) { root, pointer, failures in
            failures += root[keyPath: value].validationFailures(at: pointer.appending(name))
        }
    }

    /// A list whose elements have rules of their own.
    public static func each<Value: Validatable & SendableMetatype>(
        _ name: String, _ values: any KeyPath<Root, [Value]> & Sendable
    ) -> Rule {
        Rule(name) { root, pointer, failures in
            let list = pointer.appending(name)
            for (index, element) in root[keyPath: values].enumerated() {
                failures += element.validationFailures(at: list.appending(index))
            }
        }
    }

    private init(_ name: String, check: @escaping @Sendable (Root, JSONPointer, inout [ValidationFailure]) -> Void) {
        self.name = name
        keywords = []
        self.check = check
    }

    private static func check<Value>(
        _ value: Value, at pointer: JSONPointer, _ constraints: [Constraint<Value>],
        _ failures: inout [ValidationFailure]
    ) {
        for constraint in constraints where !constraint.holds(value) {
            failures.append(
                ValidationFailure(pointer: pointer.description, code: constraint.code, message: constraint.message))
        }
    }
}
