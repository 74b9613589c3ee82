import ApusJSON
import FoundationEssentials
import Testing

@Suite("JSON encoder")
struct EncoderTests {
    /// Expects both encoders to produce the same text. Foundation's key order is undefined, so each object in `value`
    /// must have at most one key, unless keys are sorted.
    private func expectSameText(
        _ value: some Encodable, sourceLocation: SourceLocation = #_sourceLocation,
        _ configure: (inout JSON.Encoder, JSONEncoder) -> Void = { _, _ in }
    ) throws {
        var encoder = JSON.Encoder()
        let foundation = JSONEncoder()
        configure(&encoder, foundation)
        let text = String(decoding: try encoder.encode(value), as: UTF8.self)
        #expect(text == String(decoding: try foundation.encode(value), as: UTF8.self), sourceLocation: sourceLocation)
    }

    @Test("Numbers are encoded as by Foundation")
    func numbers() throws {
        try expectSameText([
            0, -0.0, 1, -1, 1.5, 0.1, 0.01, 0.001, 1e-4, 1e-5, .leastNonzeroMagnitude, 1e15, 9_007_199_254_740_991,
            9_007_199_254_740_992,
            9_007_199_254_740_994, 1e16, 1e21, 123_456_789_012.34, 99.99, 99.999, 0.07, 28.5, -28.57, 1e13 + 0.01, .pi,
            .greatestFiniteMagnitude, .leastNormalMagnitude, 4_503_599_627_370_497.5,
        ])
        try expectSameText([Float(0.1), 16_777_216, 16_777_218, -0.0, 3.4e38, 1.5])
        try expectSameText([Int8.min, .max])
        try expectSameText([Int.min, .max, 0, 9, 10, 99, 100])
        try expectSameText([UInt64.max])
        try expectSameText([Int128.min, .max])
        try expectSameText([Decimal(string: "1.10"), Decimal(string: "-12345678901234567890.123"), nil])
    }

    @Test("Doubles of all magnitudes are encoded as the shortest exact decimals, as by Foundation")
    func randomDoubles() throws {
        var generator = Seeded(state: 7)
        var doubles = (0..<20_000).map { _ in Double(bitPattern: generator.next()) }.filter(\.isFinite)
        doubles += (0..<20_000).map { _ in Double(Int64.random(in: -999_999_999...999_999_999, using: &generator)) / 100
        }
        try expectSameText(doubles)
    }

    @Test("Text is escaped as by Foundation")
    func text() throws {
        let all = (0..<0x250).compactMap(Unicode.Scalar.init).map { String($0) }
        try expectSameText(all)
        try expectSameText([all.joined(), all.reversed().joined(), "\u{2028}😀/\"\\"])
        try expectSameText(["a": "/"]) { encoder, foundation in
            encoder.outputFormatting = .withoutEscapingSlashes
            foundation.outputFormatting = .withoutEscapingSlashes
        }
        try expectSameText([String(repeating: "ab\"c\u{1}é", count: 4000)])
    }

    @Test("Dates, data, URLs and non-conforming numbers are encoded by their strategies")
    func strategies() throws {
        let date = Date(timeIntervalSince1970: 1_769_860_800.5)
        try expectSameText([date])
        try expectSameText([URL(string: "https://apus.example/a?b")])
        try expectSameText([Data([0, 1, 254, 255])])
        let strategies: [JSONEncoder.DateEncodingStrategy] = [
            .secondsSince1970, .millisecondsSince1970, .iso8601,
            .custom { date, encoder in
                var container = encoder.unkeyedContainer()
                try container.encode(date.timeIntervalSince1970)
            },
            .custom { _, _ in },
        ]
        for strategy in strategies {
            try expectSameText(["at": date]) { encoder, foundation in
                encoder.dateEncodingStrategy = strategy
                foundation.dateEncodingStrategy = strategy
            }
        }
        try expectSameText(["bytes": Data([1, 2])]) { encoder, foundation in
            encoder.dataEncodingStrategy = .deferredToData
            foundation.dataEncodingStrategy = .deferredToData
        }
        try expectSameText([Double.infinity, -.infinity, .nan]) { encoder, foundation in
            encoder.nonConformingFloatEncodingStrategy = .convertToString(
                positiveInfinity: "+", negativeInfinity: "-", nan: "?")
            foundation.nonConformingFloatEncodingStrategy = .convertToString(
                positiveInfinity: "+", negativeInfinity: "-", nan: "?")
        }
    }

    @Test(
        "Keys are converted to snake case by Foundation's rules, except dictionary keys",
        arguments: [
            "myURLProperty", "aB", "ABC", "ABc", "_aB_", "a1B", "aB1c", "URL", "fooBAR", "a_b", "aÉB", "", "A",
            "isHTTP2On", "äÖü", "ÄÖ",
        ])
    func snakeCase(name: String) throws {
        try expectSameText(OneKey(key: name, value: ["keepThis": 1])) { encoder, foundation in
            encoder.keyEncodingStrategy = .convertToSnakeCase
            foundation.keyEncodingStrategy = .convertToSnakeCase
        }
        try expectSameText([OneKey(key: name, value: 1)]) { encoder, foundation in
            let strategy = JSONEncoder.KeyEncodingStrategy.custom { path in
                AnyKey(path.map(\.stringValue).joined(separator: "."))
            }
            encoder.keyEncodingStrategy = strategy
            foundation.keyEncodingStrategy = strategy
        }
    }

    @Test("Values that encode out of order, twice or nothing are encoded as by Foundation")
    func unusualValues() throws {
        try expectSameText([Nothing()])
        try expectSameText(["a": Nothing()])
        try expectSameText(Interleaved()) { encoder, foundation in
            encoder.outputFormatting = .sortedKeys
            foundation.outputFormatting = .sortedKeys
        }
        let decoded = try JSON.Decoder().decode([String: [Int]].self, from: JSON.Encoder().encode(Interleaved()))
        #expect(decoded == ["a": [1, 3], "b": [2]])
        let animal = try JSON.Decoder().decode([String: Int].self, from: JSON.Encoder().encode(Dog()))
        #expect(animal == ["legs": 4, "tail": 1])
        try expectSameText([Optional<Int>.none, 1])
        try expectSameText(Shape.circle(radius: 2))
        try expectSameText([[[Int]]](repeating: [[], [1]], count: 2))
        try expectSameText("fragment")
        try expectSameText(["b": [1], "a": [2, 3]]) { encoder, foundation in
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            foundation.outputFormatting = [.prettyPrinted, .sortedKeys]
        }
    }

    @Test("Caught errors, duplicate keys and merged containers are encoded as by Foundation")
    func fallbacks() throws {
        try expectSameText(
            ManuallyEncoded { container in
                try? container.encode(Double.nan, forKey: AnyKey("a"))
                try container.encode(1, forKey: AnyKey("b"))
            })
        try expectSameText(
            ManuallyEncoded { container in
                var array = container.nestedUnkeyedContainer(forKey: AnyKey("a"))
                try array.encode(1)
                try? array.encode(Double.infinity)
                try array.encode(2)
            })
        try expectSameText(
            ManuallyEncoded { container in try? container.encode(PartiallyEncoded(), forKey: AnyKey("a")) })
        try expectSameText(
            ManuallyEncoded { container in
                for value in 1...2 { try container.encode(value, forKey: AnyKey("a")) }
            })
        try expectSameText(
            ManuallyEncoded { container in
                for value in 1...2 {
                    var array = container.nestedUnkeyedContainer(forKey: AnyKey("a"))
                    try array.encode(value)
                }
            })
        let many = (0..<40).map { "k\($0)" }
        for repeated in ["k3", "k30"] {
            let value = ManuallyEncoded { container in
                for key in many + [repeated] { try container.encode(key, forKey: AnyKey(key)) }
                try container.encode("last", forKey: AnyKey(repeated))
            }
            let read = try JSON.Decoder().decode([String: String].self, from: JSON.Encoder().encode(value))
            #expect(read.count == 40)
            #expect(read[repeated] == "last")
        }
        try expectSameText(
            ManuallyEncoded { container in
                try container.encode(1, forKey: AnyKey("fooBar"))
                try container.encode(2, forKey: AnyKey("foo_bar"))
            }
        ) { encoder, foundation in
            encoder.keyEncodingStrategy = .convertToSnakeCase
            foundation.keyEncodingStrategy = .convertToSnakeCase
        }
        try expectSameText(Optional(Nothing()))
        try expectSameText(
            ManuallyEncoded { container in
                var array = container.nestedUnkeyedContainer(forKey: AnyKey("a"))
                // `try!`, as in types that rely on Foundation not throwing here.
                try! container.encode(1, forKey: AnyKey("b"))
                try! array.encode(2)
            }
        ) { encoder, foundation in
            encoder.outputFormatting = .sortedKeys
            foundation.outputFormatting = .sortedKeys
        }
    }

    @Test("Sibling objects may have the same keys, other keys, or the same keys in another order")
    func keysOfSiblings() throws {
        var random = Seeded(state: 7)
        let names = [
            "a", "b", "id", "key", "item", "longer name", "k\"1", "k\\\"1", "ключ", "",
            "a key longer than sixteen bytes",
        ]
        for _ in 0..<500 {
            let usual = names.shuffled(using: &random).prefix(.random(in: 1...5, using: &random))
            let objects = (0..<4).map { _ -> [String] in
                switch Int.random(in: 0..<4, using: &random) {
                case 0: Array(usual) + [names.randomElement(using: &random)!]
                case 1: usual.shuffled(using: &random)
                case 2: Array(usual.prefix(2)) + [usual[0]]
                default: Array(usual)
                }
            }
            let value = objects.map { keys in
                ManuallyEncoded { container in
                    for (index, key) in keys.enumerated() { try container.encode(index, forKey: AnyKey(key)) }
                }
            }
            let read = try JSON.Decoder().decode([[String: Int]].self, from: JSON.Encoder().encode(value))
            let expected = objects.map { Dictionary($0.enumerated().map { ($1, $0) }) { $1 } }
            #expect(read == expected)
        }
    }

    @Test("Keys of all kinds of types are encoded as by Foundation, repeatedly")
    func kindsOfKeys() throws {
        let tree = Tree(
            name: "a", branches: [Tree(name: "b", branches: [Tree(name: "c", branches: [])]), Tree(name: "d")])
        for slashes in [JSONEncoder.OutputFormatting(), .withoutEscapingSlashes] {
            for _ in 0..<3 {
                func expectSame(_ value: some Encodable, sourceLocation: SourceLocation = #_sourceLocation) throws {
                    try expectSameText(value, sourceLocation: sourceLocation) { encoder, foundation in
                        encoder.outputFormatting = slashes
                        foundation.outputFormatting = slashes
                    }
                }
                try expectSame(SoleKey(only: 1))
                try expectSame([SoleKey(only: 1), SoleKey(only: 2)])
                try expectSame(Slashed(path: 1))
                try expectSame(["x": DuplicateKeys()])
                try expectSame(Quoted(text: 1))
                #expect(
                    String(decoding: try JSON.Encoder().encode(tree), as: UTF8.self)
                        == #"{"name":"a","branches":[{"name":"b","branches":[{"name":"c","branches":[]}]},{"name":"d","branches":[]}]}"#
                )
            }
        }
    }

    @Test("A container that a value keeps cannot write to other documents")
    func retainedContainer() throws {
        let holder = ContainerHolder()
        #expect(String(decoding: try JSON.Encoder().encode(holder), as: UTF8.self) == #"{"only":1}"#)
        for _ in 0..<3 {
            let text = try JSON.Encoder().withEncoded([SoleKey(only: 1), SoleKey(only: 2)]) { bytes in
                try? holder.container?.encode(7, forKey: .only)
                return String(decoding: bytes, as: UTF8.self)
            }
            #expect(text == #"[{"only":1},{"only":2}]"#)
        }
    }

    @Test("An encoder that a value keeps cannot change the bytes passed to the caller")
    func retainedEncoder() throws {
        let holder = EncoderHolder()
        let text = try JSON.Encoder().withEncoded(holder) { bytes in
            for _ in 0..<2000 { _ = holder.encoder?.unkeyedContainer() }
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(text == "\"kept\"")
    }

    @Test("A non-conforming number is rejected with its coding path")
    func nonConformingPath() throws {
        for (value, path) in [
            (["a": [1, Double.nan]], ["a", "Index 1"]), (["b": [-Double.infinity]], ["b", "Index 0"]),
        ] {
            let error = #expect(throws: EncodingError.self) { try JSON.Encoder().encode(value) }
            guard case .invalidValue(_, let context) = error else { return }
            #expect(context.codingPath.map(\.stringValue) == path)
        }
        #expect(throws: EncodingError.self) { try JSON.Encoder().encode(Nothing()) }
    }

    @Test("A value nested deeper than the limit is rejected")
    func depth() throws {
        var encoder = JSON.Encoder()
        encoder.maximumDepth = 3
        #expect(throws: Never.self) { try encoder.encode([[[1.0 as Float]]]) }
        #expect(throws: EncodingError.self) { try encoder.encode([[[[1.0 as Float]]]]) }
        encoder.outputFormatting = .sortedKeys
        #expect(throws: Never.self) { try encoder.encode([[[1.0 as Float]]]) }
        #expect(throws: EncodingError.self) { try encoder.encode([[[[1.0 as Float]]]]) }
        let list = (0..<100_000).reduce(Chain(next: nil)) { chain, _ in Chain(next: chain) }
        #expect(throws: EncodingError.self) { try JSON.Encoder().encode(list) }
        list.release()
    }

    @Test("Encoding two values in a single-value container is rejected")
    func doubleEncoding() throws {
        #expect(throws: EncodingError.self) { try JSON.Encoder().encode([DoubleEncoding()]) }
    }

    @Test("User info and coding paths are available to types")
    func context() throws {
        var encoder = JSON.Encoder()
        encoder.userInfo[CodingUserInfoKey(rawValue: "user")!] = "me"
        let text = String(decoding: try encoder.encode(["a": [ContextReader()]]), as: UTF8.self)
        #expect(text == #"{"a":["me at a.Index 0"]}"#)
    }
}

private struct OneKey<Value: Encodable>: Encodable {
    let key: String
    let value: Value

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: AnyKey.self)
        try container.encode(value, forKey: AnyKey(key))
    }
}

private struct Nothing: Encodable {
    func encode(to encoder: any Encoder) {}
}

private struct ManuallyEncoded: Encodable {
    let write: (inout KeyedEncodingContainer<AnyKey>) throws -> Void

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: AnyKey.self)
        try write(&container)
    }
}

private struct SoleKey: Encodable {
    enum CodingKeys: CodingKey { case only }
    let only: Int
}

private struct Slashed: Encodable {
    enum CodingKeys: String, CodingKey { case path = "a/b" }
    let path: Int
}

private struct Quoted: Encodable {
    enum CodingKeys: String, CodingKey { case text = "a\"b" }
    let text: Int
}

/// Two keys with the same text. The later value is used.
private struct DuplicateKeys: Encodable {
    enum Keys: CodingKey {
        case first, second
        var stringValue: String { "same" }
        init?(stringValue: String) { nil }
        var intValue: Int? { nil }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(1, forKey: .first)
        try container.encode(2, forKey: .second)
    }
}

private struct Tree: Encodable {
    let name: String
    var branches: [Tree] = []
}

private final class ContainerHolder: Encodable {
    var container: KeyedEncodingContainer<SoleKey.CodingKeys>?

    func encode(to encoder: any Encoder) throws {
        container = encoder.container(keyedBy: SoleKey.CodingKeys.self)
        try container?.encode(1, forKey: .only)
    }
}

private struct PartiallyEncoded: Encodable {
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: AnyKey.self)
        try container.encode(1, forKey: AnyKey("p"))
        try container.encode(Double.nan, forKey: AnyKey("q"))
    }
}

private final class EncoderHolder: Encodable {
    private(set) var encoder: (any Encoder)?

    func encode(to encoder: any Encoder) throws {
        self.encoder = encoder
        try "kept".encode(to: encoder)
    }
}

private struct DoubleEncoding: Encodable {
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(1)
        try container.encode(2)
    }
}

private struct Interleaved: Encodable {
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: AnyKey.self)
        var first = container.nestedUnkeyedContainer(forKey: AnyKey("a"))
        var second = container.nestedUnkeyedContainer(forKey: AnyKey("b"))
        try first.encode(1)
        try second.encode(2)
        try first.encode(3)
    }
}

private class Animal: Encodable {
    let legs = 4
}

private final class Dog: Animal {
    override func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: AnyKey.self)
        try container.encode(1, forKey: AnyKey("tail"))
        try super.encode(to: encoder)
    }
}

private enum Shape: Encodable {
    case circle(radius: Int)
}

private final class Chain: Encodable {
    private var next: Chain?

    init(next: Chain?) { self.next = next }

    /// Releases the chain link by link, because the compiler's own release is recursive.
    func release() {
        var link = next
        next = nil
        while let current = link {
            link = current.next
            current.next = nil
        }
    }
}

private struct ContextReader: Encodable {
    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        let user = encoder.userInfo[CodingUserInfoKey(rawValue: "user")!] as? String
        try container.encode("\(user ?? "") at \(encoder.codingPath.map(\.stringValue).joined(separator: "."))")
    }
}
