import ApusCore
import ApusJSON
import FoundationEssentials
import HTTPTypes

/// Parses a parameter from the texts received under its name, and formats it for clients.
struct TextReader<Value: Sendable>: Sendable {
    private let schema: OpenAPI.Schema
    private let isRequired: Bool
    private let readAll: @Sendable ([String], () -> String) throws -> Value
    private let writeAll: @Sendable (Value) -> [String]

    /// Parses the value.
    /// - Parameter label: Returns the name of the parameter for error messages, such as `query parameter "page"`.
    func read(_ texts: [String], _ label: () -> String) throws -> Value { try readAll(texts, label) }

    func write(_ value: Value) -> [String] { writeAll(value) }

    func describe(_ name: String, _ place: OpenAPI.Parameter.Location, _ operation: inout OpenAPI.Operation) {
        operation.parameters.append(.init(name, in: place, isRequired: isRequired, schema: schema))
        operation.addErrorResponse(.badRequest, "A parameter is missing or malformed.")
    }

    /// Reads a text that occurs once. It is required unless there is a default.
    static func one(default defaultValue: Value? = nil) -> TextReader where Value: LosslessStringConvertible {
        one(.lossless(), default: defaultValue)
    }

    static func optional<Element: LosslessStringConvertible>() -> TextReader where Value == Element? {
        optional(.lossless())
    }

    static func list<Element: LosslessStringConvertible>() -> TextReader where Value == [Element] { list(.lossless()) }

    static func date(default defaultValue: Date? = nil) -> TextReader where Value == Date {
        one(.date, default: defaultValue)
    }

    static func optionalDate() -> TextReader where Value == Date? { optional(.date) }

    static func dates() -> TextReader where Value == [Date] { list(.date) }

    private static func one(_ format: TextFormat<Value>, default defaultValue: Value?) -> TextReader {
        TextReader(schema: format.schema, isRequired: defaultValue == nil) { texts, label in
            if let text = try single(texts, label) { return try format.read(text, label) }
            guard let defaultValue else { throw AppError(.invalidArgument, "The \(label()) is required.") }
            return defaultValue
        } writeAll: { value in
            [format.write(value)]
        }
    }

    private static func optional<Element>(_ format: TextFormat<Element>) -> TextReader where Value == Element? {
        TextReader(schema: format.schema, isRequired: false) { texts, label in
            try single(texts, label).map { try format.read($0, label) }
        } writeAll: { value in
            value.map { [format.write($0)] } ?? []
        }
    }

    /// - Throws: An `AppError` of code `invalidArgument` if there are several texts, of which it would be unclear which one
    ///   is meant.
    private static func single(_ texts: [String], _ label: () -> String) throws -> String? {
        guard texts.count <= 1 else {
            throw AppError(.invalidArgument, "The \(label()) must occur once, not \(texts.count) times.")
        }
        return texts.first
    }

    private static func list<Element>(_ format: TextFormat<Element>) -> TextReader where Value == [Element] {
        TextReader(schema: .init { ["type": "array", "items": format.schema.make($0)] }, isRequired: false) {
            texts, label in
            try texts.map { try format.read($0, label) }
        } writeAll: { values in
            values.map(format.write)
        }
    }
}

/// The text format of a value.
private struct TextFormat<Value: Sendable>: Sendable {
    let schema: OpenAPI.Schema
    let parse: @Sendable (String) -> Value?
    let write: @Sendable (Value) -> String

    func read(_ text: String, _ label: () -> String) throws -> Value {
        guard let value = parse(text) else {
            throw AppError(.invalidArgument, "The \(label()) must be \(Self.name), not \"\(text.prefix(64))\".")
        }
        return value
    }

    /// What a client calls the values of the type.
    private static var name: String {
        switch Value.self {
        case is any BinaryInteger.Type: "an integer"
        case is any BinaryFloatingPoint.Type: "a number"
        case is Bool.Type: "true or false"
        case is Date.Type: "a date and time such as 2026-01-31T12:00:00Z"
        case is UUID.Type: "a UUID"
        default: "valid"
        }
    }

    static func lossless() -> TextFormat where Value: LosslessStringConvertible {
        TextFormat(schema: .text(of: Value.self)) { text in
            Value(text).flatMap { isNumber($0, text) ? $0 : nil }
        } write: {
            $0.description
        }
    }

    static var date: TextFormat<Date> {
        TextFormat<Date>(schema: .of(Date.self), parse: { RFC3339.parse($0) }) { RFC3339.format($0) ?? "" }
    }

    /// Returns whether a floating-point number is finite and decimal: `nan`, `1e999` and `0x1p3` are parsed as numbers, too,
    /// and careless range checks accept them.
    private static func isNumber(_ value: Value, _ text: String) -> Bool {
        switch value {
        case let number as Double: number.isFinite && DecimalText.isValid(text)
        case let number as Float: number.isFinite && DecimalText.isValid(text)
        default: true
        }
    }
}
