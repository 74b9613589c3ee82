import FoundationEssentials

extension ByteWriter {
    func write(_ flag: Bool) { flag ? append("true") : append("false") }

    func writeNull() { append("null") }

    /// A value of any type. Types that JSON or a strategy knows are compared by identity, which costs nothing; a dynamic
    /// cast would cost more than the value.
    func write<Value: Encodable>(value: Value) throws {
        func known<Known>(_: Known.Type) -> Known { unsafeBitCast(value, to: Known.self) }
        if Value.self == String.self { return write(known(String.self)) }
        if Value.self == Int.self { return write(integer: known(Int.self)) }
        if Value.self == Double.self { return try write(known(Double.self)) }
        if Value.self == Bool.self { return write(known(Bool.self)) }
        if Value.self == [String].self { return try write(elements: known([String].self)) { write($0) } }
        if Value.self == [Int].self { return try write(elements: known([Int].self)) { write(integer: $0) } }
        if Value.self == [Double].self { return try write(doubles: known([Double].self)) }
        if Value.self == Date.self { return try write(known(Date.self)) }
        if Value.self == Data.self { return try write(known(Data.self)) }
        if Value.self == URL.self { return write(known(URL.self).absoluteString) }
        if Value.self == Decimal.self { return write(decimal: known(Decimal.self)) }
        if options.keyEncodingStrategy.convertsKeys, let dictionary = value as? any StringKeyed {
            return try dictionary.write(to: self)
        }
        try writeSelf { try value.encode(to: $0) }
    }

    /// A value inside a container, under its key.
    @inline(__always) func write<Value: Encodable>(_ value: Value, at key: @autoclosure () -> any CodingKey) throws {
        if Value.self == String.self { return write(unsafeBitCast(value, to: String.self)) }
        let count = path.count
        path.append(key())
        try write(value: value)
        path.removeLast(path.count - count)
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
        for (index, double) in doubles.enumerated() {
            try next(in: slot)
            if !double.isFinite { path.append(IndexKey(index)) }
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
        case .custom(let write): try writeSelf { try write(date, $0) }
        @unknown default: throw giveUp()
        }
    }

    private func write(_ data: Data) throws {
        switch options.dataEncodingStrategy {
        case .deferredToData: try writeSelf { try data.encode(to: $0) }
        case .base64: write(data.base64EncodedString())
        case .custom(let write): try writeSelf { try write(data, $0) }
        @unknown default: throw giveUp()
        }
    }
}

/// A dictionary whose keys are text: data, which no key strategy changes.
private protocol StringKeyed {
    func write(to writer: ByteWriter) throws
}

extension Dictionary: StringKeyed where Key == String, Value: Encodable {
    fileprivate func write(to writer: ByteWriter) throws {
        let slot = writer.open(UInt8(ascii: "{"), closer: UInt8(ascii: "}"))
        for (key, value) in self {
            try writer.next(in: slot)
            writer.write(key)
            writer.append(UInt8(ascii: ":"))
            try writer.write(value, at: NameKey(key))
        }
        writer.close(slot)
    }
}
