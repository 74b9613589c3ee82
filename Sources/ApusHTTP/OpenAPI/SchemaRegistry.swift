import ApusCore
public import ApusJSON

/// Finds the JSON schemas of `Codable` types, and keeps those that have a name, to be referred to.
///
/// A type is asked what it decodes: its `init(from:)` runs on a decoder that gives it empty values and notes what it asked
/// for. Known beforehand are the standard library's types, `CaseIterable` enumerations with raw values, typed identifiers,
/// and types that conform to ``SchemaDescribing``. The rules of a `Validatable` type are part of its schema.
public final class SchemaRegistry {
    /// Schemas by name, as `components/schemas` has them.
    private(set) var components: [String: JSON.Value] = [:]
    /// Types of which nothing could be found out: they are described as any value.
    private(set) var unknownTypes: [String] = []
    private var names: [ObjectIdentifier: String] = [:]
    /// Those that were given a name by hand, by that.
    private var given: [String: String] = [:]
    private var depth = 0

    private static let maximumDepth = 64

    init() {}

    /// The schema of a type: a reference where it has a name.
    public func schema(of type: Any.Type) -> JSON.Value {
        if let type = type as? any StandardSchema.Type { return type.schema(in: self) }
        if let name = names[ObjectIdentifier(type)] { return Self.reference(name) }
        if let type = type as? any SchemaDescribing.Type { return component(type) { type.schema } }
        if let cases = Self.cases(of: type) { return component(type) { cases } }
        guard let type = type as? any Decodable.Type else { return unknown(type) }
        return discover(type)
    }

    /// The schema of a type that is read from text.
    func textSchema(of type: Any.Type) -> JSON.Value {
        let isKnown =
            type is any StandardSchema.Type || type is any SchemaDescribing.Type || Self.cases(of: type) != nil
        return isKnown ? schema(of: type) : ["type": "string"]
    }

    /// A value of a type, for a type that wants one while it is looked into.
    func example<Value: Decodable>(of type: Value.Type) throws -> Value {
        if let type = type as? any StandardSchema.Type, let value = type.example as? Value { return value }
        if let type = type as? any SchemaDescribing.Type, let value = type.schemaExample as? Value { return value }
        if let type = type as? any CaseIterable.Type, let value = Self.firstCase(type) as? Value { return value }
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.maximumDepth else { throw Unknown() }
        do {
            return try Value(from: SchemaRecorder(registry: self))
        } catch {
            if let value = Self.zero(of: type) { return value }
            if !(error is Unknown) { note(type) }
            throw Unknown()
        }
    }

    /// Nothing fits where a type wants a value.
    private struct Unknown: Error {}

    /// The first case of an enumeration that does not say what its cases are. For types that are plain bits alone: all of
    /// them zero is a value of every such type that can be decoded, a first case or a number.
    private static func zero<Value>(of type: Value.Type) -> Value? {
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

    /// A schema of something that is no Swift type, under a name of its own: letters, digits, `.`, `_` and `-`. Made once.
    package func component(named wanted: String, _ make: () -> JSON.Value) -> JSON.Value {
        if let name = given[wanted] { return Self.reference(name) }
        let name = uniqueName(wanted)
        given[wanted] = name
        return fill(name, make)
    }

    private func fill(_ name: String, _ make: () -> JSON.Value) -> JSON.Value {
        // There while it is made, so that what contains itself finds itself.
        components[name] = .object([])
        components[name] = make()
        return Self.reference(name)
    }

    private static func reference(_ name: String) -> JSON.Value { ["$ref": .string("#/components/schemas/\(name)")] }

    private func uniqueName(_ base: String) -> String {
        var name = base
        var count = 1
        while components[name] != nil {
            count += 1
            name = "\(base)-\(count)"
        }
        return name
    }

    /// The type's name with the types around it and without its module: letters, digits, `.`, `_` and `-`.
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

    // MARK: What types say

    private func unknown(_ type: Any.Type) -> JSON.Value {
        note(type)
        return .object([])
    }

    private func note(_ type: Any.Type) {
        let name = Self.name(of: type)
        if !unknownTypes.contains(name) { unknownTypes.append(name) }
    }

    private func discover(_ type: any Decodable.Type) -> JSON.Value {
        let recorder = SchemaRecorder(registry: self)
        let name = uniqueName(Self.name(of: type))
        names[ObjectIdentifier(type)] = name
        components[name] = .object([])
        // A type that refuses the empty values has shown some of itself by then.
        _ = try? type.init(from: recorder)
        guard let schema = recorder.schema, !recorder.isSingleValue else {
            components[name] = nil
            names[ObjectIdentifier(type)] = nil
            // Text or a number in a type of its own is shown as what it is.
            return recorder.schema ?? unknown(type)
        }
        components[name] = schema
        if let type = type as? any Validatable.Type { addRules(of: type, to: name) }
        return Self.reference(name)
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
