import FoundationEssentials

extension Document {
    /// Decodes a value of any type. Known types are recognized by identity, as in encoding.
    func decode<Value: Decodable>(_ type: Value.Type, at index: Int) throws -> Value {
        // Safe: called only after `type` was found to equal `Known`, so both are the same type.
        func known<Known>(_ value: Known) -> Value { unsafeBitCast(value, to: Value.self) }
        if type == String.self { return known(try string(at: index)) }
        if type == Int.self { return known(try integer(Int.self, at: index)) }
        if type == Double.self { return known(try double(at: index)) }
        if type == Bool.self { return known(try bool(at: index)) }
        if type == [String].self { return known(try array(at: index) { try string(at: $0) }) }
        if type == [Int].self { return known(try array(at: index) { try integer(Int.self, at: $0) }) }
        if type == [Double].self { return known(try array(at: index) { try double(at: $0) }) }
        if type == Date.self { return known(try date(at: index)) }
        if type == Data.self { return known(try data(at: index)) }
        if type == URL.self { return known(try url(at: index)) }
        if type == Decimal.self { return known(try decimal(at: index)) }
        if convertsKeys, let dictionary = type as? any StringKeyed.Type {
            return try dictionary.decode(at: index, of: self, as: type)
        }
        // `type` may be a subclass of the static type `Value`.
        return try type.init(from: ValueDecoder(document: self, index: index))
    }

    func isNull(at index: Int) -> Bool { nodes[index].kind == .null }

    func bool(at index: Int) throws -> Bool {
        switch nodes[index].kind {
        case .true: true
        case .false: false
        case .null, .integer, .decimal, .string, .array, .object: throw mismatch(Bool.self, at: index)
        }
    }

    func string(at index: Int) throws -> String {
        guard nodes[index].kind == .string else { throw mismatch(String.self, at: index) }
        return nodes[index].text(in: bytes)
    }

    private func array<Element>(at index: Int, _ decode: (Int) throws -> Element) throws -> [Element] {
        guard nodes[index].kind == .array else { throw mismatch([Element].self, at: index) }
        var elements: [Element] = []
        elements.reserveCapacity(Int(nodes[index].count))
        var next = index + 1
        while next < Int(nodes[index].end) {
            elements.append(try decode(next))
            next = nodes.after(next)
        }
        return elements
    }

    private func date(at index: Int) throws -> Date {
        switch options.dateDecodingStrategy {
        case .deferredToDate: return Date(timeIntervalSinceReferenceDate: try double(at: index))
        case .secondsSince1970: return Date(timeIntervalSince1970: try double(at: index))
        case .millisecondsSince1970: return Date(timeIntervalSince1970: try double(at: index) / 1000)
        case .iso8601:
            let text = try string(at: index)
            guard let date = try? Date(text, strategy: .iso8601) else {
                throw DecodingError.dataCorrupted(context(index, "Expected date string to be ISO8601-formatted."))
            }
            return date
        case .custom(let decode): return try decode(ValueDecoder(document: self, index: index))
        @unknown default:
            throw DecodingError.dataCorrupted(context(index, "The date decoding strategy is not supported."))
        }
    }

    private func data(at index: Int) throws -> Data {
        switch options.dataDecodingStrategy {
        case .deferredToData: return try Data(from: ValueDecoder(document: self, index: index))
        case .base64:
            guard let data = Data(base64Encoded: try string(at: index)) else {
                throw DecodingError.dataCorrupted(context(index, "Encountered Data is not valid Base64."))
            }
            return data
        case .custom(let decode): return try decode(ValueDecoder(document: self, index: index))
        @unknown default:
            throw DecodingError.dataCorrupted(context(index, "The data decoding strategy is not supported."))
        }
    }

    private func url(at index: Int) throws -> URL {
        guard let url = URL(string: try string(at: index)) else {
            throw DecodingError.dataCorrupted(context(index, "Invalid URL string."))
        }
        return url
    }

    private func decimal(at index: Int) throws -> Decimal {
        guard nodes[index].kind == .integer || nodes[index].kind == .decimal else {
            throw mismatch(Decimal.self, at: index)
        }
        guard let decimal = Decimal(string: numberText(at: index)) else { throw outOfRange(Decimal.self, at: index) }
        return decimal
    }
}

/// A dictionary with string keys. The keys are data, which key strategies leave unchanged.
private protocol StringKeyed {
    static func decode<Value>(at index: Int, of document: Document, as type: Value.Type) throws -> Value
}

extension Dictionary: StringKeyed where Key == String, Value: Decodable {
    fileprivate static func decode<Whole>(at index: Int, of document: Document, as type: Whole.Type) throws -> Whole {
        guard document.nodes[index].kind == .object else { throw document.mismatch(Self.self, at: index) }
        var dictionary: Self = [:]
        for key in document.keys(ofObject: index) {
            let name = document.text(at: key)
            if dictionary[name] == nil { dictionary[name] = try document.decode(Value.self, at: key + 1) }
        }
        // Safe: the caller obtained `Self` by casting `type`, so both are the same type.
        return unsafeBitCast(dictionary, to: type)
    }
}
