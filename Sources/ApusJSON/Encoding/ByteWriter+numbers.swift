import FoundationEssentials

extension ByteWriter {
    func write(integer number: some FixedWidthInteger) {
        if let small = UInt64(exactly: number.magnitude) {
            append(atMost: 21) { target in
                var target = target
                let sign = number < 0 ? 1 : 0
                if number < 0 {
                    target[0] = UInt8(ascii: "-")
                    target += 1
                }
                return sign + writeDigits(of: small, to: target)
            }
        } else {
            writeUnquoted(String(number))
        }
    }

    /// Writes the shortest decimal that parses to the same number.
    /// - Throws: `EncodingError.invalidValue` for infinities and NaN, unless the strategy converts them to strings.
    func write(_ number: Double) throws {
        let magnitude = number.magnitude
        if magnitude < 9_007_199_254_740_992, let whole = Int64(exactly: number), whole != 0 || number.sign == .plus {
            return write(integer: whole)
        }
        // Fast path for numbers with two decimal places, such as prices: a decimal of at most 15 digits that parses to
        // the same number is the shortest one.
        let hundredths = (magnitude * 100).rounded()
        if magnitude >= 0.01, hundredths < 1e15, hundredths / 100 == magnitude {
            return writeHundredths(UInt64(hundredths), isNegative: number < 0)
        }
        guard number.isFinite else { return try writeNonConforming(number) }
        writeUnquoted(number.description)
    }

    /// Writes the shortest decimal that parses to the same number.
    /// - Throws: As for `Double`.
    func write(_ number: Float) throws {
        guard number.isFinite else { return try writeNonConforming(number) }
        writeUnquoted(number.description)
    }

    private func writeUnquoted(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            let isWhole =
                bytes.count > 2 && bytes[bytes.count - 1] == UInt8(ascii: "0")
                && bytes[bytes.count - 2] == UInt8(ascii: ".")
            append(isWhole ? UnsafeBufferPointer(rebasing: bytes.dropLast(2)) : bytes)
        }
    }

    /// Writes a number of hundredths, which must not be a multiple of 100, as a decimal.
    private func writeHundredths(_ hundredths: UInt64, isNegative: Bool) {
        if isNegative { append(UInt8(ascii: "-")) }
        append(atMost: 24) { target in
            var count = writeDigits(of: hundredths / 100, to: target)
            let fraction = UInt8(hundredths % 100)
            target[count] = UInt8(ascii: ".")
            target[count + 1] = UInt8(ascii: "0") + fraction / 10
            count += 2
            if fraction % 10 != 0 {
                target[count] = UInt8(ascii: "0") + fraction % 10
                count += 1
            }
            return count
        }
    }

    private func writeNonConforming(_ number: some BinaryFloatingPoint) throws {
        switch options.nonConformingFloatEncodingStrategy {
        case .convertToString(positiveInfinity: let positive, negativeInfinity: let negative, nan: let nan):
            write(number.isNaN ? nan : number > 0 ? positive : negative)
        case .throw: fallthrough
        @unknown default:
            throw EncodingError.invalidValue(
                number, .init(codingPath: path, debugDescription: "JSON cannot represent \(number)."))
        }
    }
}

/// Writes decimal digits and returns their number.
@inline(__always) private func writeDigits(of number: UInt64, to target: UnsafeMutablePointer<UInt8>) -> Int {
    var count = 1
    var rest = number
    while rest >= 10 {
        count &+= 1
        rest /= 10
    }
    rest = number
    for index in stride(from: count &- 1, through: 0, by: -1) {
        target[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
    }
    return count
}
