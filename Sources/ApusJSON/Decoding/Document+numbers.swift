import FoundationEssentials

extension Document {
    /// Decodes an integer, which may be written as `1.0` or `1e2`.
    func integer<Number: FixedWidthInteger>(_ type: Number.Type, at index: Int) throws -> Number {
        let node = nodes[index]
        guard node.kind == .integer || node.kind == .decimal else { throw mismatch(type, at: index) }
        if node.kind == .integer {
            if let number = digits(of: node).flatMap({ isNegative(node) ? Number(exactly: -$0) : Number(exactly: $0) })
            {
                return number
            }
            if let number = Number(numberText(at: index)) { return number }
        } else {
            let text = numberText(at: index)
            if let double = Double(text), double.magnitude < 9_007_199_254_740_992 {
                if let number = Number(exactly: double) { return number }
            } else if let decimal = Decimal(string: text), let number = Number(decimal.description) {
                // A `Double` would round larger numbers.
                return number
            }
        }
        throw outOfRange(type, at: index)
    }

    func double(at index: Int) throws -> Double {
        let node = nodes[index]
        switch node.kind {
        case .integer:
            if let digits = digits(of: node), digits < 1 << 53 {
                return isNegative(node) ? -Double(digits) : Double(digits)
            }
        case .decimal:
            if let double = shortDecimal(node) { return double }
        case .string:
            if let value = nonConformingValue(at: index, as: Double.self) { return value }
            throw mismatch(Double.self, at: index)
        case .null, .true, .false, .array, .object: throw mismatch(Double.self, at: index)
        }
        guard let double = Double(numberText(at: index)), double.isFinite else {
            throw outOfRange(Double.self, at: index)
        }
        return double
    }

    func float(at index: Int) throws -> Float {
        let node = nodes[index]
        if node.kind == .string, let value = nonConformingValue(at: index, as: Float.self) { return value }
        guard node.kind == .integer || node.kind == .decimal else { throw mismatch(Float.self, at: index) }
        guard let float = Float(numberText(at: index)), float.isFinite else { throw outOfRange(Float.self, at: index) }
        return float
    }

    func numberText(at index: Int) -> String {
        String(decoding: bytes[Int(nodes[index].start)..<Int(nodes[index].end)], as: UTF8.self)
    }

    func outOfRange(_ type: Any.Type, at index: Int) -> DecodingError {
        .dataCorrupted(context(index, "The number \(numberText(at: index).prefix(64)) does not fit in \(type)."))
    }

    private func nonConformingValue<Number: BinaryFloatingPoint>(at index: Int, as type: Number.Type) -> Number? {
        guard case .convertFromString(let positive, let negative, let nan) = options.nonConformingFloatDecodingStrategy
        else { return nil }
        switch nodes[index].text(in: bytes) {
        case positive: return .infinity
        case negative: return -.infinity
        case nan: return .nan
        default: return nil
        }
    }

    @inline(__always) private func isNegative(_ node: Node) -> Bool { bytes[Int(node.start)] == UInt8(ascii: "-") }

    /// Returns the magnitude of an integer of at most 18 digits, or `nil` for a longer one.
    @inline(__always) private func digits(of node: Node) -> Int64? {
        let first = Int(node.start) &+ (isNegative(node) ? 1 : 0)
        guard Int(node.end) &- first <= 18 else { return nil }
        var value: Int64 = 0
        for index in first..<Int(node.end) { value = value &* 10 &+ Int64(bytes[index] &- UInt8(ascii: "0")) }
        return value
    }

    /// Decodes a short decimal without an exponent; returns `nil` for any other.
    ///
    /// Its digits and the power of ten are both exact as `Double`, so their quotient is the nearest `Double`.
    @inline(__always) private func shortDecimal(_ node: Node) -> Double? {
        let first = Int(node.start) &+ (isNegative(node) ? 1 : 0)
        guard Int(node.end) &- first <= 16 else { return nil }
        var value: Int64 = 0
        var fractionStart = Int(node.end)
        for index in first..<Int(node.end) {
            let byte = bytes[index]
            if byte == UInt8(ascii: ".") {
                fractionStart = index &+ 1
            } else if isDigit(byte) {
                value = value &* 10 &+ Int64(byte &- UInt8(ascii: "0"))
            } else {
                return nil
            }
        }
        let magnitude = Double(value) / powersOfTen[Int(node.end) &- fractionStart]
        return isNegative(node) ? -magnitude : magnitude
    }
}

private let powersOfTen: [Double] = [
    1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
]
