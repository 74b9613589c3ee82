import ApusCore

extension JSON {
    /// An arbitrary JSON value, for data without a type of its own: documents built at run time, fields passed through
    /// uninterpreted.
    ///
    /// ```swift
    /// let value: JSON.Value = ["name": "Ada", "tags": ["a", "b"], "age": 36]
    /// let age = value["age"]
    /// ```
    public enum Value: Sendable, Hashable {
        case null
        case bool(Bool)
        case integer(Int)
        /// A number that is not an integer or does not fit in `Int`.
        case number(Double)
        case string(String)
        case array([Value])
        /// The members of an object, in document order.
        case object([Member])

        /// A name–value pair of an object.
        public struct Member: Sendable, Hashable {
            public var name: String
            public var value: Value

            public init(_ name: String, _ value: Value) {
                self.name = name
                self.value = value
            }
        }

        /// Accesses the member with the given name; `nil` if there is none or if this is not an object.
        ///
        /// Setting a member of a value that is not an object replaces the value with an object.
        public subscript(name: String) -> Value? {
            get {
                guard case .object(let members) = self else { return nil }
                return members.first { $0.name.isExactly(name) }?.value
            }
            set {
                var members: [Member] = []
                if case .object(let old) = self { members = old }
                switch (members.firstIndex { $0.name.isExactly(name) }, newValue) {
                case (let index?, let value?): members[index].value = value
                case (let index?, nil): members.remove(at: index)
                case (nil, let value?): members.append(Member(name, value))
                case (nil, nil): break
                }
                self = .object(members)
            }
        }
    }
}

extension JSON.Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON.Value...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON.Value)...) {
        self = .object(elements.map { Member($0.0, $0.1) })
    }
}

extension JSON.Value: Codable {
    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: Name.self) {
            self = .object(
                try container.allKeys.map { Member($0.stringValue, try container.decode(JSON.Value.self, forKey: $0)) })
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else {
            do {
                self = .number(try container.decode(Double.self))
            } catch DecodingError.typeMismatch {
                self = .array(try container.decode([JSON.Value].self))
            }
        }
    }

    public func encode(to encoder: any Encoder) throws {
        if case .object(let members) = self {
            var container = encoder.container(keyedBy: Name.self)
            for member in members { try container.encode(member.value, forKey: Name(stringValue: member.name)) }
            return
        }
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let values): try container.encode(values)
        case .object: break
        }
    }

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
