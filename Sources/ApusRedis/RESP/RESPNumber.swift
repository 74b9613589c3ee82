/// The parsers of the numbers in a line. They return `nil` for text that is not a number of their kind.
enum RESPNumber {
    /// A length: 1 to 18 digits.
    static func length(_ text: UnsafeRawBufferPointer) -> Int? {
        guard (1...18).contains(text.count) else { return nil }
        var length = 0
        for byte in text {
            guard let digit = digit(byte) else { return nil }
            // 18 digits cannot overflow.
            length = length * 10 + Int(digit)
        }
        return length
    }

    /// A 64-bit integer with an optional sign.
    static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        let start = isNegative || text.first == UInt8(ascii: "+") ? 1 : 0
        guard text.count > start else { return nil }
        var value: Int64 = 0
        for index in start..<text.count {
            guard let digit = digit(text[index]) else { return nil }
            let (product, productOverflows) = value.multipliedReportingOverflow(by: 10)
            // Negative numbers are built downwards, because the least one has no positive counterpart.
            let (sum, sumOverflows) =
                isNegative
                ? product.subtractingReportingOverflow(Int64(digit)) : product.addingReportingOverflow(Int64(digit))
            guard !productOverflows, !sumOverflows else { return nil }
            value = sum
        }
        return value
    }

    /// `t` or `f`.
    static func boolean(_ text: UnsafeRawBufferPointer) -> Bool? {
        guard text.count == 1 else { return nil }
        return switch text[0] {
        case UInt8(ascii: "t"): true
        case UInt8(ascii: "f"): false
        default: nil
        }
    }

    /// A decimal number, `inf`, `-inf` or `nan`.
    static func double(_ text: UnsafeRawBufferPointer) -> Double? {
        switch String(decoding: text, as: UTF8.self) {
        case "inf", "+inf": return .infinity
        case "-inf": return -.infinity
        case "nan", "-nan": return .nan
        case let text:
            // `Double` also parses hexadecimal numbers.
            let isDecimal = text.utf8.allSatisfy { byte in
                digit(byte) != nil || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
                    || byte == UInt8(ascii: "+") || byte | 0x20 == UInt8(ascii: "e")
            }
            return isDecimal ? Double(text) : nil
        }
    }

    /// The digits of an integer of any size, with an optional sign.
    static func bigNumber(_ text: UnsafeRawBufferPointer) -> String? {
        let hasSign = text.first == UInt8(ascii: "-") || text.first == UInt8(ascii: "+")
        let digits = text.dropFirst(hasSign ? 1 : 0)
        guard !digits.isEmpty, digits.allSatisfy({ digit($0) != nil }) else { return nil }
        return String(decoding: text, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        let digit = byte &- UInt8(ascii: "0")
        return digit < 10 ? digit : nil
    }
}
