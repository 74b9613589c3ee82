public import HTTPTypes

/// The header fields of a request, in the order in which they came.
///
/// They stay the bytes they came in until they are asked for: most requests carry a dozen fields and need two. Names are
/// those of `HTTPTypes`; ``fields`` is all of them in its own type.
///
/// ```swift
/// let token = request.headers[.authorization]
/// ```
public struct RequestHeaders: Sendable {
    private enum Storage: Sendable {
        case bytes(FieldBytes)
        case fields(HTTPFields)
    }

    private var storage: Storage

    /// Fields that are at hand.
    public init(_ fields: HTTPFields = [:]) { storage = .fields(fields) }

    package init(_ bytes: FieldBytes) { storage = .bytes(bytes) }

    /// All fields, in the ecosystem's type.
    public var fields: HTTPFields {
        get {
            switch storage {
            case .fields(let fields): return fields
            case .bytes(let bytes):
                var fields = HTTPFields()
                fields.reserveCapacity(bytes.count)
                for index in 0..<bytes.count {
                    if let field = bytes.field(at: index) { fields.append(field) }
                }
                return fields
            }
        }
        set { storage = .fields(newValue) }
    }

    /// One field, of which text is made when it is asked for.
    package struct Field {
        fileprivate enum Source {
            case bytes(FieldBytes, Int)
            case field(HTTPField)
        }

        fileprivate let source: Source

        /// How long the name is, in bytes.
        package var nameCount: Int {
            switch source {
            case .bytes(let bytes, let index): bytes.nameCount(at: index)
            case .field(let field): field.name.canonicalName.utf8.count
            }
        }

        /// - Parameter name: In lower case.
        package func isNamed(_ name: StaticString) -> Bool {
            switch source {
            case .bytes(let bytes, let index): bytes.isNamed(name, at: index)
            case .field(let field): field.name.canonicalName == name.description
            }
        }

        package func hasValue(_ value: StaticString) -> Bool {
            switch source {
            case .bytes(let bytes, let index): bytes.hasValue(value, at: index)
            case .field(let field): field.value == value.description
            }
        }

        /// In lower case.
        package var name: String {
            switch source {
            case .bytes(let bytes, let index):
                let name = bytes.name(at: index)
                // HTTP/2 has no others.
                return name.utf8.contains { $0 &- UInt8(ascii: "A") < 26 } ? name.lowercased() : name
            case .field(let field): return field.name.canonicalName
            }
        }

        package var value: String {
            switch source {
            case .bytes(let bytes, let index): bytes.value(at: index)
            case .field(let field): field.value
            }
        }
    }

    /// Calls with each field, in order.
    package func forEach(_ body: (Field) throws -> Void) rethrows {
        switch storage {
        case .fields(let fields): for field in fields { try body(Field(source: .field(field))) }
        case .bytes(let bytes):
            for index in 0..<bytes.count { try body(Field(source: .bytes(bytes, index))) }
        }
    }

    /// The value of a field; several of the same name are joined by commas, cookies by semicolons (RFC 9110 §5.3).
    public subscript(name: HTTPField.Name) -> String? {
        get {
            switch storage {
            case .fields(let fields): return fields[name]
            case .bytes(let bytes):
                guard let first = bytes.firstIndex(of: name) else { return nil }
                var value = bytes.value(at: first)
                var next = first + 1
                while let index = bytes.firstIndex(of: name, from: next) {
                    value += name == .cookie ? "; " : ", "
                    value += bytes.value(at: index)
                    next = index + 1
                }
                return value
            }
        }
        set { fields[name] = newValue }
    }

    /// The values of a field that came several times, one each.
    public subscript(values name: HTTPField.Name) -> [String] {
        get {
            switch storage {
            case .fields(let fields): return fields[values: name]
            case .bytes(let bytes):
                var values: [String] = []
                var next = 0
                while let index = bytes.firstIndex(of: name, from: next) {
                    values.append(bytes.value(at: index))
                    next = index + 1
                }
                return values
            }
        }
        set { fields[values: name] = newValue }
    }

    /// Whether a field of the name is there.
    public func contains(_ name: HTTPField.Name) -> Bool {
        switch storage {
        case .fields(let fields): fields.contains(name)
        case .bytes(let bytes): bytes.firstIndex(of: name) != nil
        }
    }
}

extension RequestHeaders: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (HTTPField.Name, String)...) {
        var fields = HTTPFields()
        for (name, value) in elements { fields.append(HTTPField(name: name, value: value)) }
        self.init(fields)
    }
}

extension RequestHeaders: Equatable {
    public static func == (left: RequestHeaders, right: RequestHeaders) -> Bool { left.fields == right.fields }
}
