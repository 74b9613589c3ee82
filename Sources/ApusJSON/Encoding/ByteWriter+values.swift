import FoundationEssentials

extension ByteWriter {
    func write(_ flag: Bool) { flag ? append("true") : append("false") }

    func writeNull() { append("null") }

    /// Writes a value of any type.
    func write<Value: Encodable>(value: Value) throws {
        if try !writeKnownType(value) { try writeWithEncoder { try value.encode(to: $0) } }
    }

    /// Writes a value of a type that JSON represents directly or that a strategy applies to; returns `false` for
    /// others.
    ///
    /// Types are recognized by identity, which is free; a dynamic cast would take longer than writing the value.
    func writeKnownType<Value: Encodable>(_ value: Value) throws -> Bool {
        // Safe: called only after `Value` was found to equal `Known`.
        func known<Known>(_: Known.Type) -> Known { unsafeBitCast(value, to: Known.self) }
        if try writePlain(value) { return true }
        if Value.self == Date.self {
            try write(known(Date.self))
        } else if Value.self == Data.self {
            try write(known(Data.self))
        } else if Value.self == Double.self {
            try write(known(Double.self))
        } else if Value.self == [Double].self {
            try write(doubles: known([Double].self))
        } else if Value.self == URL.self {
            write(known(URL.self).absoluteString)
        } else if Value.self == Decimal.self {
            write(decimal: known(Decimal.self))
        } else if convertsKeys, let dictionary = value as? any StringKeyed {
            try dictionary.write(to: self)
        } else {
            return false
        }
        return true
    }

    /// Writes Booleans, strings, integers, and arrays of strings or integers; returns `false` for other types. These
    /// are the types whose writing cannot fail and calls no foreign code.
    @inline(__always) private func writePlain<Value: Encodable>(_ value: Value) throws -> Bool {
        // Safe: called only after `Value` was found to equal `Known`.
        func known<Known>(_: Known.Type) -> Known { unsafeBitCast(value, to: Known.self) }
        if Value.self == String.self {
            write(known(String.self))
        } else if Value.self == Int.self {
            write(integer: known(Int.self))
        } else if Value.self == Bool.self {
            write(known(Bool.self))
        } else if Value.self == [String].self {
            try write(elements: known([String].self)) { write($0) }
        } else if Value.self == [Int].self {
            try write(elements: known([Int].self)) { write(integer: $0) }
        } else {
            return false
        }
        return true
    }

    private func write<Element>(elements: [Element], _ write: (Element) -> Void) throws {
        let slot = open(UInt8(ascii: "["), closer: UInt8(ascii: "]"))
        for element in elements {
            try next(in: slot)
            write(element)
        }
        close(slot)
    }

    private func write(doubles: [Double]) throws {
        let slot = open(UInt8(ascii: "["), closer: UInt8(ascii: "]"))
        for double in doubles {
            try next(in: slot)
            try write(double)
        }
        close(slot)
    }

    private func write(decimal: Decimal) {
        var text = decimal.description
        text.withUTF8 { append($0) }
    }

    private func write(_ date: Date) throws {
        switch options.dateEncodingStrategy {
        case .deferredToDate: try write(date.timeIntervalSinceReferenceDate)
        case .secondsSince1970: try write(date.timeIntervalSince1970)
        case .millisecondsSince1970: try write(1000 * date.timeIntervalSince1970)
        case .iso8601: write(date.formatted(.iso8601))
        case .custom(let write): try writeWithEncoder { try write(date, $0) }
        @unknown default: fallBack()
        }
    }

    private func write(_ data: Data) throws {
        switch options.dataEncodingStrategy {
        case .deferredToData: try writeWithEncoder { try data.encode(to: $0) }
        case .base64: write(data.base64EncodedString())
        case .custom(let write): try writeWithEncoder { try write(data, $0) }
        @unknown default: fallBack()
        }
    }
}

/// A dictionary with string keys. The keys are data, which key strategies leave unchanged.
private protocol StringKeyed {
    func write(to writer: ByteWriter) throws
}

extension Dictionary: StringKeyed where Key == String, Value: Encodable {
    fileprivate func write(to writer: ByteWriter) throws {
        let slot = writer.open(UInt8(ascii: "{"), closer: UInt8(ascii: "}"))
        for (key, value) in self {
            try writer.next(in: slot)
            writer.write(key: key, original: key)
            try writer.write(value: value)
        }
        writer.close(slot)
    }
}
