public import HTTPTypes

/// The header fields of a request, in the order received.
///
/// The received bytes are decoded on access: most requests carry a dozen fields, of which two are needed. Names are
/// those of `HTTPTypes`; ``fields`` converts all fields to its `HTTPFields`.
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

    /// Creates headers from fields.
    public init(_ fields: HTTPFields = [:]) { storage = .fields(fields) }

    package init(_ bytes: FieldBytes) { storage = .bytes(bytes) }

    /// All fields as `HTTPFields`.
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

    /// One field, whose name and value are decoded on access.
    package struct Field {
        fileprivate enum Source {
            case bytes(FieldBytes, Int)
            case field(HTTPField)
        }

        fileprivate let source: Source

        /// The length of the name, in bytes.
        package var nameCount: Int {
            switch source {
            case .bytes(let bytes, let index): bytes.nameCount(at: index)
            case .field(let field): field.name.canonicalName.utf8.count
            }
        }

        /// Returns whether the field has the given name.
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

        /// The name, in lower case.
        package var name: String {
            switch source {
            case .bytes(let bytes, let index):
                let name = bytes.name(at: index)
                // In HTTP/2, names are always in lower case.
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

    /// Calls a closure with each field, in order.
    package func forEach(_ body: (Field) throws -> Void) rethrows {
        switch storage {
        case .fields(let fields): for field in fields { try body(Field(source: .field(field))) }
        case .bytes(let bytes):
            for index in 0..<bytes.count { try body(Field(source: .bytes(bytes, index))) }
        }
    }

    /// The value of a field. Several fields of the same name are joined by commas, cookies by semicolons
    /// (RFC 9110 §5.3).
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

    /// The values of all fields of a name, in the order received.
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

    /// Returns whether there is a field of the given name.
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
