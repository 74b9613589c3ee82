import ApusCore
import ApusJSON
import HTTPTypes

/// Reads a parameter from the texts that came by its name, and writes it for clients.
struct TextReader<Value: Sendable>: Sendable {
    private let schema: OpenAPI.Schema
    private let isRequired: Bool
    private let readAll: @Sendable ([String], () -> String) throws -> Value
    private let writeAll: @Sendable (Value) -> [String]

    /// - Parameter what: What is read, for error messages, such as `query parameter "page"`.
    func read(_ texts: [String], _ what: () -> String) throws -> Value { try readAll(texts, what) }

    func write(_ value: Value) -> [String] { writeAll(value) }

    func describe(_ name: String, _ place: OpenAPI.Parameter.Place, _ operation: inout OpenAPI.Operation) {
        operation.parameters.append(.init(name, in: place, isRequired: isRequired, schema: schema))
        operation.mayFail(.badRequest, "A parameter is missing or malformed.")
    }

    /// The first one. None is an error unless there is a default.
    static func one(default defaultValue: Value? = nil) -> TextReader where Value: LosslessStringConvertible {
        TextReader(schema: .text(of: Value.self), isRequired: defaultValue == nil) { texts, what in
            if let text = texts.first { return try read(text, what) }
            guard let defaultValue else { throw AppError(.invalidArgument, "The \(what()) is required.") }
            return defaultValue
        } writeAll: { value in
            [value.description]
        }
    }

    static func optional<Element: LosslessStringConvertible>() -> TextReader where Value == Element? {
        TextReader(schema: .text(of: Element.self), isRequired: false) { texts, what in
            try texts.first.map { try TextReader<Element>.read($0, what) }
        } writeAll: { value in
            value.map { [$0.description] } ?? []
        }
    }

    static func list<Element: LosslessStringConvertible>() -> TextReader where Value == [Element] {
        let items = OpenAPI.Schema.text(of: Element.self)
        return TextReader(schema: .init { ["type": "array", "items": items.make($0)] }, isRequired: false) {
            texts, what in
            try texts.map { try TextReader<Element>.read($0, what) }
        } writeAll: { values in
            values.map(\.description)
        }
    }

    private static func read(_ text: String, _ what: () -> String) throws -> Value
    where Value: LosslessStringConvertible {
        guard let value = Value(text), isFinite(value) else {
            throw AppError(.invalidArgument, "The \(what()) is not a valid \(Value.self): \"\(text.prefix(64))\".")
        }
        return value
    }

    /// `nan` and `1e999` are read as numbers, and pass for one within any range that is not looked at twice.
    private static func isFinite(_ value: Value) -> Bool {
        if Value.self == Double.self { return (value as? Double)?.isFinite == true }
        if Value.self == Float.self { return (value as? Float)?.isFinite == true }
        return true
    }
}
