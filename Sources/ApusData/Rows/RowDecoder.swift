import ApusCore
import FoundationEssentials

extension Row {
    /// Decodes the row by the names of its columns.
    /// - Throws: An `AppError` of code `internal` if a column is missing, has a value of another type, or is nested.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        do {
            return try Value(from: RowDecoder(row: self))
        } catch let error as DecodingError {
            throw AppError(.internal, "A row of a query result could not be decoded.", cause: error)
        }
    }
}

/// Decodes the keyed container of a row.
private struct RowDecoder: Decoder {
    let row: Row
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
        KeyedDecodingContainer(RowColumns(row: row))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw flat("a list") }

    func singleValueContainer() throws -> any SingleValueDecodingContainer { ColumnValue(row: row, index: 0, path: []) }
}

private func flat(_ what: String) -> AppError {
    AppError(.internal, "A row of a query result has no \(what): its columns are single values.")
}

private struct RowColumns<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let row: Row
    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { row.columns.compactMap { Key(stringValue: $0) } }

    func contains(_ key: Key) -> Bool { row.has(key.stringValue) }

    func decodeNil(forKey key: Key) throws -> Bool { try row.get(key.stringValue, as: SQLValue.self) == .null }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        guard let index = row.columns.firstIndex(where: { $0.isExactly(key.stringValue) }) else {
            let context = DecodingError.Context(codingPath: [key], debugDescription: "The row has no such column.")
            throw DecodingError.keyNotFound(key, context)
        }
        return try ColumnValue(row: row, index: index, path: [key]).decode(type)
    }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws
        -> KeyedDecodingContainer<Nested>
    { throw flat("object \(key.stringValue)") }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        throw flat("list \(key.stringValue)")
    }

    func superDecoder() throws -> any Decoder { throw flat("superclass") }

    func superDecoder(forKey key: Key) throws -> any Decoder { throw flat("superclass") }
}

/// A column, as the single value that a type decodes.
private struct ColumnValue: SingleValueDecodingContainer, Decoder {
    let row: Row
    let index: Int
    let path: [any CodingKey]
    var codingPath: [any CodingKey] { path }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        throw flat("object")
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw flat("list") }

    func singleValueContainer() -> any SingleValueDecodingContainer { self }

    func decodeNil() -> Bool { (try? row.get(index, as: SQLValue.self)) == .null }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        if type == Date.self { return try cast(row.get(index, as: Date.self)) }
        if type == [UInt8].self { return try cast(row.get(index, as: [UInt8].self)) }
        if type == Data.self { return try cast(Data(row.get(index, as: [UInt8].self))) }
        return try Value(from: self)
    }

    private func cast<Value>(_ value: some Sendable) throws -> Value {
        guard let value = value as? Value else { throw flat("\(Value.self)") }
        return value
    }

    func decode(_ type: Bool.Type) throws -> Bool { try row.get(index) }
    func decode(_ type: String.Type) throws -> String { try row.get(index) }
    func decode(_ type: Double.Type) throws -> Double { try row.get(index) }
    func decode(_ type: Float.Type) throws -> Float { Float(try row.get(index, as: Double.self)) }
    func decode(_ type: Int.Type) throws -> Int { try row.get(index) }
    func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
    func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
    func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
    func decode(_ type: Int64.Type) throws -> Int64 { try row.get(index) }
    func decode(_ type: UInt.Type) throws -> UInt { try integer() }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }

    private func integer<Number: FixedWidthInteger>() throws -> Number {
        let number: Int64 = try row.get(index)
        guard let exact = Number(exactly: number) else {
            let context = DecodingError.Context(codingPath: path, debugDescription: "\(number) is out of range.")
            throw DecodingError.dataCorrupted(context)
        }
        return exact
    }
}
