import ApusJSON
import Foundation
import Testing

/// Random values of all kinds, encoded and decoded by both implementations with all strategies.
@Suite struct RoundTripTests {
    @Test(arguments: 0..<UInt64(40))
    func `Random values are encoded and decoded as by Foundation`(seed: UInt64) throws {
        var generator = Seeded(state: seed)
        for _ in 0..<25 {
            let strategies = Strategies.random(using: &generator)
            let record = Record.random(depth: 2, using: &generator)
            let text = try strategies.foundationEncoder.encode(record)
            #expect(
                String(decoding: try strategies.encoder.encode(record), as: UTF8.self)
                    == String(decoding: text, as: UTF8.self))
            let read = try strategies.decoder.decode(Record.self, from: text)
            #expect(read == (try strategies.foundationDecoder.decode(Record.self, from: text)))
            if strategies.keepsDates { #expect(read == record) }
        }
    }
}

/// Coders of both implementations with the same strategies.
private struct Strategies {
    var encoder = JSON.Encoder()
    var decoder = JSON.Decoder()
    let foundationEncoder = JSONEncoder()
    let foundationDecoder = JSONDecoder()
    /// Whether dates round-trip exactly.
    var keepsDates = true

    static func random(using generator: inout Seeded) -> Strategies {
        var all = Strategies()
        all.write(.sortedKeys)
        if .random(using: &generator) { all.write([.sortedKeys, .prettyPrinted]) }
        if .random(using: &generator) { all.write([.sortedKeys, .withoutEscapingSlashes]) }
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: all.dates(.secondsSince1970, .secondsSince1970, keep: false)
        case 1: all.dates(.millisecondsSince1970, .millisecondsSince1970, keep: false)
        case 2: all.dates(.iso8601, .iso8601, keep: false)
        default: break
        }
        if .random(using: &generator) {
            all.encoder.dataEncodingStrategy = .deferredToData
            all.foundationEncoder.dataEncodingStrategy = .deferredToData
            all.decoder.dataDecodingStrategy = .deferredToData
            all.foundationDecoder.dataDecodingStrategy = .deferredToData
        }
        if .random(using: &generator) {
            all.encoder.keyEncodingStrategy = .convertToSnakeCase
            all.foundationEncoder.keyEncodingStrategy = .convertToSnakeCase
            all.decoder.keyDecodingStrategy = .convertFromSnakeCase
            all.foundationDecoder.keyDecodingStrategy = .convertFromSnakeCase
        }
        all.encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "+", negativeInfinity: "-", nan: "?")
        all.foundationEncoder.nonConformingFloatEncodingStrategy = all.encoder.nonConformingFloatEncodingStrategy
        all.decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "+", negativeInfinity: "-", nan: "?")
        all.foundationDecoder.nonConformingFloatDecodingStrategy = all.decoder.nonConformingFloatDecodingStrategy
        return all
    }

    private mutating func write(_ formatting: JSONEncoder.OutputFormatting) {
        encoder.outputFormatting = formatting
        foundationEncoder.outputFormatting = formatting
    }

    private mutating func dates(
        _ encoding: JSONEncoder.DateEncodingStrategy, _ decoding: JSONDecoder.DateDecodingStrategy, keep: Bool
    ) {
        encoder.dateEncodingStrategy = encoding
        foundationEncoder.dateEncodingStrategy = encoding
        decoder.dateDecodingStrategy = decoding
        foundationDecoder.dateDecodingStrategy = decoding
        keepsDates = keep
    }
}

/// A type with properties of all kinds.
private struct Record: Codable, Hashable {
    var isOn: Bool
    var tiny: Int8
    var whole: Int
    var unsigned: UInt64
    var single: Float
    var fraction: Double
    var price: Decimal
    var plainText: String
    var letter: Letter
    var happenedAt: Date
    var rawBytes: Data
    var website: URL?
    var id: UUID
    var choice: Choice
    var maybeNone: Int?
    var listOfOptionals: [Int?]
    var pair: [Letter: [Double]]
    var byNumber: [Int: String]
    var unique: Set<Int>
    var span: Range<Int>
    var children: [Record]

    enum Letter: String, Codable, CodingKeyRepresentable, CaseIterable { case alpha, beta, gammaRay }

    enum Choice: Codable, Hashable {
        case nothing
        case one(Int)
        case named(firstName: String, otherValue: [Bool]?)
    }

    static func random(depth: Int, using generator: inout Seeded) -> Record {
        func count(_ limit: Int) -> Int { .random(in: 0...limit, using: &generator) }
        let bits = Double(bitPattern: generator.next())
        return Record(
            isOn: .random(using: &generator), tiny: .random(in: .min ... .max, using: &generator),
            whole: .random(in: .min ... .max, using: &generator),
            unsigned: .random(in: .min ... .max, using: &generator),
            single: Float(bitPattern: UInt32.random(in: 0..<0x7F80_0000, using: &generator)),
            fraction: bits.isNaN ? .infinity : bits,
            price: Decimal(Int.random(in: -999_999_999...999_999_999, using: &generator)) / 100,
            plainText: .random(using: &generator), letter: Letter.allCases.randomElement(using: &generator)!,
            happenedAt: Date(timeIntervalSinceReferenceDate: .random(in: -1e9...2e9, using: &generator)),
            rawBytes: Data((0..<count(9)).map { _ in .random(in: .min ... .max, using: &generator) }),
            website: .random(using: &generator) ? URL(string: "https://a.example/b?c=\(count(99))/d") : nil,
            id: UUID(), choice: choice(using: &generator), maybeNone: .random(using: &generator) ? count(9) : nil,
            listOfOptionals: (0..<count(4)).map { _ in .random(using: &generator) ? count(9) : nil },
            pair: [Letter.alpha: [0.5, -0.0], .gammaRay: [Double(count(9)) / 3]],
            byNumber: Dictionary(uniqueKeysWithValues: (0..<count(4)).map { ($0 * 7 - 3, .random(using: &generator)) }),
            unique: count(1) == 0 ? [] : [count(99)], span: -1..<count(9),
            children: depth == 0 ? [] : (0..<count(2)).map { _ in random(depth: depth - 1, using: &generator) })
    }

    private static func choice(using generator: inout Seeded) -> Choice {
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: .nothing
        case 1: .one(.random(in: -9...9, using: &generator))
        case 2: .named(firstName: .random(using: &generator), otherValue: nil)
        default: .named(firstName: "", otherValue: [true, .random(using: &generator)])
        }
    }
}
