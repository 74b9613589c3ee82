import ApusCore
public import ApusJSON

/// Derives the JSON schemas of `Codable` types, and stores those with names, so that schemas can refer to them.
///
/// To derive a schema, the type's `init(from:)` is run with a decoder that returns empty values and records what is decoded.
/// The schemas of standard library types, `CaseIterable` enumerations with raw values, typed identifiers, and types that
/// conform to ``SchemaDescribing`` are known in advance. The rules of a `Validatable` type are part of its schema.
public final class SchemaRegistry {
    /// The schemas by name, for `components/schemas`.
    private(set) var components: [String: JSON.Value] = [:]
    /// The types whose schema could not be determined. Their schema allows any value.
    private(set) var unknownTypes: [String] = []
    private var names: [ObjectIdentifier: String] = [:]
    /// The names that a schema refers to.
    private var referredNames: Set<String> = []
    /// The component names by the names that were requested for schemas without a Swift type.
    private var requestedNames: [String: String] = [:]
    private var depth = 0

    private static let maximumDepth = 64

    init() {}

    /// Returns the schema of a type: a reference if the schema has a name.
    public func schema(of type: Any.Type) -> JSON.Value {
        if let type = type as? any StandardSchema.Type { return type.schema(in: self) }
        if let name = names[ObjectIdentifier(type)] { return reference(name) }
        if let type = type as? any SchemaDescribing.Type { return component(type) { type.schema } }
        if let cases = Self.cases(of: type) { return component(type) { cases } }
        guard let type = type as? any Decodable.Type else { return unknown(type) }
        return discover(type)
    }

    /// Returns the schema of a type that is parsed from text.
    func textSchema(of type: Any.Type) -> JSON.Value {
        let isKnown =
            type is any StandardSchema.Type || type is any SchemaDescribing.Type || Self.cases(of: type) != nil
        return isKnown ? schema(of: type) : ["type": "string"]
    }

    /// Returns a value of a type, for a containing type that decodes it while being inspected.
    func example<Value: Decodable>(of type: Value.Type) throws -> Value {
        if let type = type as? any StandardSchema.Type, let value = type.example as? Value { return value }
        if let type = type as? any SchemaDescribing.Type, let value = type.schemaExample as? Value { return value }
        if let type = type as? any CaseIterable.Type, let value = Self.firstCase(type) as? Value { return value }
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.maximumDepth else { throw MissingExample() }
        do {
            return try Value(from: SchemaRecorder(registry: self))
        } catch {
            if let value = Self.zeroInitialized(of: type) { return value }
            if !(error is MissingExample) { recordUnknown(type) }
            throw MissingExample()
        }
    }

    /// An error for a type of which no value could be created.
    private struct MissingExample: Error {}

    /// Returns a value of which all bits are zero, for enumerations that are not `CaseIterable`. The result is `nil` for types
    /// that are not trivial. For a trivial type that can be decoded, zero bits are a valid value: the first case of an
    /// enumeration or a number.
    private static func zeroInitialized<Value>(of type: Value.Type) -> Value? {
        guard _isPOD(type) else { return nil }
        return withUnsafeTemporaryAllocation(of: type, capacity: 1) { buffer in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            bytes.initializeMemory(as: UInt8.self, repeating: 0)
            return buffer[0]
        }
    }

    // MARK: Named schemas

    private func component(_ type: Any.Type, _ make: () -> JSON.Value) -> JSON.Value {
        let name = uniqueName(Self.name(of: type))
        names[ObjectIdentifier(type)] = name
        return fill(name, make)
    }

    /// Returns a reference to the schema of something other than a Swift type. The schema is created once.
    /// - Parameter requestedName: The name of the schema: letters, digits, `.`, `_` and `-`.
    package func component(named requestedName: String, _ make: () -> JSON.Value) -> JSON.Value {
        if let name = requestedNames[requestedName] { return reference(name) }
        let name = uniqueName(requestedName)
        requestedNames[requestedName] = name
        return fill(name, make)
    }

    private func fill(_ name: String, _ make: () -> JSON.Value) -> JSON.Value {
        // Reserve the name before the schema is created, for recursive types.
        components[name] = .object([])
        components[name] = make()
        return reference(name)
    }

    private func reference(_ name: String) -> JSON.Value {
        referredNames.insert(name)
        return Self.pointer(to: name)
    }

    private static func pointer(to name: String) -> JSON.Value { ["$ref": .string("#/components/schemas/\(name)")] }

    private func uniqueName(_ base: String) -> String {
        var name = base
        var count = 1
        while components[name] != nil {
            count += 1
            name = "\(base)-\(count)"
        }
        return name
    }

    /// Returns the name of a type, including enclosing types but not the module: letters, digits, `.`, `_` and `-`.
    static func name(of type: Any.Type) -> String {
        // `Module.Outer.(unknown context at $1f).Inner<Module.Element>`
        var text = String(reflecting: type)
        while let start = text.range(of: "(unknown context at "),
            let end = text[start.upperBound...].firstIndex(of: ")")
        {
            text.removeSubrange(start.lowerBound...end)
        }
        let words = text.split { "<>, ".contains($0) }.map { word in
            word.split(separator: ".").dropFirst().joined(separator: ".")
        }
        let name = words.joined(separator: "-of-")
        return String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "_" })
    }

    // MARK: Inspection of types

    private func unknown(_ type: Any.Type) -> JSON.Value {
        recordUnknown(type)
        return .object([])
    }

    private func recordUnknown(_ type: Any.Type) {
        let name = Self.name(of: type)
        if !unknownTypes.contains(name) { unknownTypes.append(name) }
    }

    private func discover(_ type: any Decodable.Type) -> JSON.Value {
        let recorder = SchemaRecorder(registry: self)
        let name = uniqueName(Self.name(of: type))
        names[ObjectIdentifier(type)] = name
        components[name] = .object([])
        // A type that rejects the empty values has been recorded up to that point.
        _ = try? type.init(from: recorder)
        // A type that wraps a single value has the schema of that value, without a name unless it is recursive.
        let isRecursive = referredNames.contains(name)
        guard isRecursive || recorder.schema != nil && !recorder.isSingleValue else {
            components[name] = nil
            names[ObjectIdentifier(type)] = nil
            return recorder.schema ?? unknown(type)
        }
        // A type that only consists of itself has no schema.
        guard let schema = recorder.schema, schema != Self.pointer(to: name) else {
            recordUnknown(type)
            return reference(name)
        }
        components[name] = schema
        if let type = type as? any Validatable.Type { addRules(of: type, to: name) }
        return reference(name)
    }

    private func addRules<Value: Validatable>(of type: Value.Type, to name: String) {
        for rule in Value.rules {
            guard var property = components[name]?["properties"]?[rule.name] else { continue }
            for keyword in rule.keywords { property.add(keyword) }
            components[name]?["properties"]?[rule.name] = property
        }
    }

    private static func cases(of type: Any.Type) -> JSON.Value? {
        guard let type = type as? any (CaseIterable & RawRepresentable).Type else { return nil }
        func values<Value: CaseIterable & RawRepresentable>(_ type: Value.Type) -> [Any] {
            type.allCases.map { $0.rawValue }
        }
        let raw = values(type)
        if let texts = raw as? [String] { return ["type": "string", "enum": .array(texts.map { .string($0) })] }
        if let numbers = raw as? [Int] { return ["type": "integer", "enum": .array(numbers.map { .integer($0) })] }
        return nil
    }

    private static func firstCase<Value: CaseIterable>(_ type: Value.Type) -> Any? { type.allCases.first }
}

extension JSON.Value {
    fileprivate mutating func add(_ keyword: SchemaKeyword) {
        switch keyword {
        case .minLength(let count): self["minLength"] = .integer(count)
        case .maxLength(let count): self["maxLength"] = .integer(count)
        case .minItems(let count): self["minItems"] = .integer(count)
        case .maxItems(let count): self["maxItems"] = .integer(count)
        case .minimum(let value): self["minimum"] = .number(value)
        case .maximum(let value): self["maximum"] = .number(value)
        case .pattern(let pattern): self["pattern"] = .string(pattern)
        case .format(let format): self["format"] = .string(format)
        case .oneOf(let values): self["enum"] = .array(values.map { .string($0) })
        }
    }
}

extension StringProtocol {
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
