import ApusJSON
import FoundationEssentials
import Testing

@Suite("JSON decoder")
struct DecoderTests {
    @Test("Generated values round-trip, also through Foundation's coders")
    func agreement() async throws {
        var generator = Seeded(state: 1)
        for _ in 0..<500 {
            await Task.yield()
            let value = Value.random(depth: 4, using: &generator)
            let bytes = try JSON.Encoder().encode(value)
            #expect(try JSON.Decoder().decode(Value.self, from: bytes) == value)
            #expect(try JSONDecoder().decode(Value.self, from: Data(bytes)) == value)
            #expect(try JSON.Decoder().decode(Value.self, from: JSONEncoder().encode(value)) == value)
        }
    }

    @Test("Integers are decoded exactly, even with a zero fraction or an exponent")
    func integers() throws {
        #expect(
            try decode([Int].self, "[0,-0,1.0,1e2,9223372036854775807,-9223372036854775808]") == [
                0, 0, 1, 100, .max, .min,
            ])
        #expect(try decode([Int].self, "[9007199254740993.0]") == [9_007_199_254_740_993])
        #expect(try decode([Int].self, "[9007199254740993e0]") == [9_007_199_254_740_993])
        #expect(throws: DecodingError.self) { try decode([Int].self, "[1e19]") }
        #expect(try decode([UInt64].self, "[18446744073709551615]") == [.max])
        #expect(try decode([Int128].self, "[-170141183460469231731687303715884105728]") == [.min])
        for text in ["[256]", "[-1]", "[1.5]", "[1e3]", "[99999999999999999999999]"] {
            #expect(throws: DecodingError.self) { try decode([UInt8].self, text) }
        }
    }

    @Test(
        "A number beyond the range of Double is rejected, and ignored in members that are not decoded",
        arguments: ["1e400", "-1e999999"])
    func hugeNumbers(text: String) throws {
        for type in [Double.self, JSON.Value.self] as [any Decodable.Type] {
            let error = #expect(throws: DecodingError.self) { try decode(type, text) }
            guard case .dataCorrupted(let context) = error else { Issue.record("\(error as Any)"); continue }
            #expect(context.debugDescription.contains(text))
        }
        #expect(try decode(Point.self, #"{"x":1,"z":\#(text),"y":2}"#) == Point(x: 1, y: 2))
    }

    @Test("Doubles are rounded to nearest, as in Foundation")
    func doubles() throws {
        var generator = Seeded(state: 3)
        var texts = (0..<5000).map { _ in Double(bitPattern: generator.next()) }.filter(\.isFinite).map(\.description)
        texts += (0..<5000).map { _ in
            "\(Int.random(in: 0...999_999, using: &generator)).\(Int.random(in: 0...99_999_999_999, using: &generator))"
        }
        texts += [
            "0.1", "-0.0", "-0", "1E+2", "123456789012345678", "9007199254740993", "2.2250738585072011e-308",
        ]
        let text = "[\(texts.joined(separator: ","))]"
        let expected = try JSONDecoder().decode([Double].self, from: Data(text.utf8))
        #expect(try decode([Double].self, text).map(\.bitPattern) == expected.map(\.bitPattern))
        #expect(try decode([Float].self, "[0.1,16777217,1e-50]") == [0.1, 16_777_216, 0])
        #expect(try decode([Double].self, "[1e-400]") == [0])
        #expect(throws: DecodingError.self) { try decode([Double].self, "[1e400]") }
        #expect(throws: DecodingError.self) { try decode([Float].self, "[1e39]") }
        #expect(try decode(Decimal.self, "12345678901234567890.125") == Decimal(string: "12345678901234567890.125"))
    }

    @Test("Strategies decode what Foundation's strategies encode")
    func strategies() throws {
        let date = Date(timeIntervalSince1970: 1_769_860_800)
        var decoder = JSON.Decoder()
        let pairs: [(JSONEncoder.DateEncodingStrategy, JSONDecoder.DateDecodingStrategy)] = [
            (.deferredToDate, .deferredToDate), (.secondsSince1970, .secondsSince1970),
            (.millisecondsSince1970, .millisecondsSince1970), (.iso8601, .iso8601),
            (
                .custom { date, encoder in try Int(date.timeIntervalSince1970).encode(to: encoder) },
                .custom { Date(timeIntervalSince1970: Double(try Int(from: $0))) }
            ),
        ]
        for (write, read) in pairs {
            let foundation = JSONEncoder()
            foundation.dateEncodingStrategy = write
            decoder.dateDecodingStrategy = read
            #expect(try decoder.decode([Date].self, from: foundation.encode([date])) == [date])
        }
        #expect(try decode([Data].self, #"["AAEC"]"#) == [Data([0, 1, 2])])
        decoder.dataDecodingStrategy = .deferredToData
        #expect(try decoder.decode([Data].self, from: "[[0,1]]".utf8) == [Data([0, 1])])
        #expect(throws: DecodingError.self) { try decode([Data].self, #"["A"]"#) }
        decoder.dateDecodingStrategy = .iso8601
        let error = #expect(throws: DecodingError.self) { try decoder.decode([Date].self, from: "[1]".utf8) }
        guard case .typeMismatch = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try decode([URL].self, #"["http:\/\/a\/b"]"#) == [URL(string: "http://a/b")])
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "+", negativeInfinity: "-", nan: "?")
        #expect(try decoder.decode([Double].self, from: #"["+","-",1]"#.utf8) == [.infinity, -.infinity, 1])
        #expect(try decoder.decode(Float.self, from: #""?""#.utf8).isNaN)
    }

    @Test(
        "Keys are converted from snake case by Foundation's rules",
        arguments: [
            "my_url_property", "_a_b_", "__a__", "a__b", "a_B", "ABC_d", "_", "__", "", "a", "a_1b", "a_1b2c", "a_bC1D",
            "a_b-c", "a_é", "oneTwo_three",
            "ONE_TWO", "oneTwo",
        ])
    func snakeCase(key: String) throws {
        let text = #"{"\#(key)":{"keep_this":1}}"#
        var decoder = JSON.Decoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let foundation = JSONDecoder()
        foundation.keyDecodingStrategy = .convertFromSnakeCase
        let keys = try decoder.decode(Keys.self, from: text.utf8)
        #expect(keys.names == (try foundation.decode(Keys.self, from: Data(text.utf8)).names))
        #expect(keys.inner == ["keep_this": 1])
        let upper = JSONDecoder.KeyDecodingStrategy.custom { AnyKey($0.map(\.stringValue).joined().uppercased()) }
        decoder.keyDecodingStrategy = upper
        foundation.keyDecodingStrategy = upper
        #expect(
            try decoder.decode(Keys.self, from: text.utf8).names
                == foundation.decode(Keys.self, from: Data(text.utf8)).names)
    }

    @Test("Keys are found in any order, among many, escaped and duplicated")
    func keys() throws {
        #expect(try decode(Point.self, #"{"y":2,"x":1}"#) == Point(x: 1, y: 2))
        #expect(try decode(Point.self, #"{"\u0078":1,"z":[{}],"y":2}"#) == Point(x: 1, y: 2))
        #expect(
            try decode(Point.self, #"{"x":1,"y":2,"x":3}"#) == Point(x: 1, y: 2), "first value wins, as in Foundation")
        #expect(try decode(Point.self, #"{"y":2,"x":1,"y":4,"\u0078":3}"#) == Point(x: 1, y: 2))
        let many = (0..<10_000).map { #""k\#($0)":\#($0)"# }.joined(separator: ",")
        #expect(try decode(Point.self, "{\(many),\"y\":2,\"x\":1}") == Point(x: 1, y: 2))
        #expect(try decode([String: Int].self, "{\(many)}").count == 10_000)
        #expect(try decode([String: Int].self, #"{"e\u0301":1}"#)["é"] == 1)
        #expect(try decode([String: Int].self, #"{"é":1,"e\u0301":2}"#) == ["é": 1])
    }

    @Test("Duplicate keys are rejected if the limits require it")
    func duplicateKeys() throws {
        var decoder = JSON.Decoder()
        decoder.limits.duplicateKeys = .reject
        let many = (0..<100).map { #""k\#($0)":0"# }.joined(separator: ",")
        for text in [#"{"x":1,"x":1}"#, #"{"x":1,"y":{},"\u0078":1}"#, "{\(many),\"k7\":1}"] {
            let error = #expect(throws: DecodingError.self) { try decoder.decode(Value.self, from: text.utf8) }
            #expect(syntaxError(error)?.reason.hasPrefix("Duplicate key") == true)
        }
        #expect(throws: Never.self) { try decoder.decode(Value.self, from: "{\(many)}".utf8) }
        #expect(throws: Never.self) { try decoder.decode(Value.self, from: #"{"ab":1,"ba":{"ab":1},"cc":0}"#.utf8) }
    }

    @Test("Errors state the coding path, the line and the column")
    func errors() throws {
        let text = "{\n  \"items\": [\n    {\"x\": 1, \"y\": 2},\n    {\"x\": 1, \"y\": \"two\"}\n  ]\n}"
        let error = #expect(throws: DecodingError.self) { try decode([String: [Point]].self, text) }
        guard case .typeMismatch(_, let context) = error else { return }
        #expect(context.codingPath.map(\.stringValue) == ["items", "Index 1", "y"])
        #expect(context.debugDescription == "Expected Int but found a string. (line 4, column 19)")
        let missing = #expect(throws: DecodingError.self) { try decode([Point].self, #"[{"x":1}]"#) }
        guard case .keyNotFound(let key, let place) = missing else { return }
        #expect(key.stringValue == "y")
        #expect(place.codingPath.map(\.intValue) == [0])
        let null = #expect(throws: DecodingError.self) { try decode(Point.self, #"{"x":null,"y":1}"#) }
        guard case .valueNotFound = null else {
            Issue.record("\(String(describing: null))")
            return
        }
    }

    @Test("The dynamic type is decoded if the static type is its superclass")
    func dynamicTypes() throws {
        let type: Animal.Type = Dog.self
        #expect(try decode(type, "{}") is Dog)
    }

    @Test("Failed attempts and objects with an index are not slower in a long document")
    func manyFailures() async throws {
        let count = 20_000
        let strings = "[" + Array(repeating: "\"a\"", count: count).joined(separator: ",") + "]"
        #expect(try decode([Value].self, strings).count == count)
        await Task.yield()
        let repeats = "[" + Array(repeating: #"{"a":1,"a":1}"#, count: count).joined(separator: ",") + "]"
        #expect(try decode([[String: Int]].self, repeats).count == count)
        await Task.yield()
        var decoder = JSON.Decoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let empty = "[" + Array(repeating: "{}", count: count).joined(separator: ",") + "]"
        #expect(try decoder.decode([Keys].self, from: empty.utf8).count == count)
        await Task.yield()
        #expect(try decode([PathReader].self, strings).last?.path.first?.intValue == count - 1)
    }

    @Test("Nested, optional, unkeyed and super containers can be decoded manually")
    func containers() throws {
        let text = #"{"a":[1,null,{"x":1,"y":2},[true]],"super":7,"n":null}"#
        let value = try decode(ManuallyDecoded.self, text)
        #expect(value.point == Point(x: 1, y: 2))
        #expect(value.flags == [true])
        #expect(value.parent == 7)
        #expect(value.missing == nil)
        #expect(value.paths == ["a", "a.Index 3", ""])
    }

    @Test("A container that a value keeps stays readable after decoding")
    func retainedDecoder() throws {
        let value = try JSON.Decoder().decode(
            ContainerHolder.self, from: Array(#"{"text":"longer than the inline storage of a string"}"#.utf8))
        #expect(try value.text() == "longer than the inline storage of a string")
    }

    private func decode<Result: Decodable>(_ type: Result.Type, _ text: String) throws -> Result {
        try JSON.Decoder().decode(type, from: text.utf8)
    }
}

func syntaxError(_ error: DecodingError?) -> JSON.SyntaxError? {
    guard case .dataCorrupted(let context) = error else { return nil }
    return context.underlyingError as? JSON.SyntaxError
}

private struct Point: Codable, Hashable {
    let x: Int
    let y: Int
}

private struct Keys: Decodable {
    let names: [String]
    let inner: [String: Int]

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: AnyKey.self)
        names = container.allKeys.map(\.stringValue)
        inner = try names.first.map { try container.decode([String: Int].self, forKey: AnyKey($0)) } ?? [:]
    }
}

private struct ManuallyDecoded: Decodable {
    let point: Point
    let flags: [Bool]
    let parent: Int
    let missing: Int?
    let paths: [String]

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: AnyKey.self)
        var array = try container.nestedUnkeyedContainer(forKey: AnyKey("a"))
        var paths = [array.codingPath]
        _ = try array.decode(Int8.self)
        #expect(try array.decodeNil())
        #expect(try !array.decodeNil())
        #expect(throws: DecodingError.self) { try array.decode(String.self) }
        point = try array.decode(Point.self)
        var inner = try array.nestedUnkeyedContainer()
        paths.append(inner.codingPath)
        flags = [try inner.decode(Bool.self)]
        #expect(array.isAtEnd && inner.isAtEnd && array.count == 4)
        #expect(throws: DecodingError.self) { try inner.decode(Bool.self) }
        parent = try Int(from: container.superDecoder())
        missing = try container.decodeIfPresent(Int.self, forKey: AnyKey("n"))
        #expect(try container.decodeIfPresent(Int.self, forKey: AnyKey("none")) == nil)
        #expect(try container.superDecoder(forKey: AnyKey("none")).singleValueContainer().decodeNil())
        paths.append(container.codingPath)
        self.paths = paths.map { $0.map(\.stringValue).joined(separator: ".") }
    }
}

private class Animal: Decodable {}

private final class Dog: Animal {}

private struct PathReader: Decodable {
    let path: [any CodingKey]

    init(from decoder: any Decoder) throws { path = decoder.codingPath }
}

private struct ContainerHolder: Decodable {
    private let container: KeyedDecodingContainer<AnyKey>

    init(from decoder: any Decoder) throws { container = try decoder.container(keyedBy: AnyKey.self) }

    func text() throws -> String { try container.decode(String.self, forKey: AnyKey("text")) }
}
