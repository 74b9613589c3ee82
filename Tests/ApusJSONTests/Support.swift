/// A coding key with any name.
struct AnyKey: CodingKey, Hashable {
    let stringValue: String

    init(_ name: String) { stringValue = name }
    init(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }

    var intValue: Int? { nil }
}

/// A seeded generator of reproducible random numbers (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// An arbitrary JSON value.
enum Value: Codable, Hashable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([Value])
    case object([String: Value])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let bool = try? container.decode(Bool.self) {
            self = .bool(bool)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else if let string = try? container.decode(String.self) {
            self = .string(string)
        } else if let array = try? container.decode([Value].self) {
            self = .array(array)
        } else {
            self = .object(try container.decode([String: Value].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let bool): try container.encode(bool)
        case .number(let number): try container.encode(number)
        case .string(let string): try container.encode(string)
        case .array(let array): try container.encode(array)
        case .object(let object): try container.encode(object)
        }
    }

    /// Returns a random value with at most `depth` levels of nesting.
    static func random(depth: Int, using generator: inout Seeded) -> Value {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &generator) {
        case 0: .null
        case 1: .bool(.random(using: &generator))
        case 2: .number(Double(Int.random(in: -1000...1000, using: &generator)))
        case 3: .number(Double.random(in: -1e9...1e9, using: &generator))
        case 4: .string(.random(using: &generator))
        case 5, 6:
            .array(
                (0..<Int.random(in: 0..<6, using: &generator)).map { _ in random(depth: depth - 1, using: &generator) })
        default:
            .object(
                Dictionary(
                    (0..<Int.random(in: 0..<24, using: &generator)).map { _ in
                        (.random(using: &generator), random(depth: depth - 1, using: &generator))
                    }, uniquingKeysWith: { first, _ in first }))
        }
    }
}

extension String {
    static func random(using generator: inout Seeded) -> String {
        let alphabet = Array("abcXYZ019 \"\\/\n\t\u{1}\u{7f}éÖß€😀\u{2028}~")
        return String(
            (0..<Int.random(in: 0..<20, using: &generator)).map { _ in alphabet.randomElement(using: &generator)! })
    }
}
