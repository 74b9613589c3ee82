public import ApusCore
public import FoundationEssentials

/// A database value.
public enum SQLValue: Sendable, Hashable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])
    /// A point in time. Engines without a timestamp type store it as whole microseconds since 1970.
    case timestamp(Date)
}

/// A type that can be bound to a statement and read from a row.
public protocol SQLValueConvertible: Sendable {
    /// The value to bind to a statement.
    var sqlValue: SQLValue { get }
    /// Creates an instance from the value of a column; `nil` if the value has another type.
    init?(sqlValue: SQLValue)
}

extension SQLValue: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { self }
    @inlinable public init(sqlValue: SQLValue) { self = sqlValue }
}

extension Int: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { .integer(Int64(self)) }
    @inlinable
    public init?(sqlValue: SQLValue) {
        guard case .integer(let number) = sqlValue else { return nil }
        self.init(exactly: number)
    }
}

extension Int64: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { .integer(self) }
    @inlinable
    public init?(sqlValue: SQLValue) {
        guard case .integer(let number) = sqlValue else { return nil }
        self = number
    }
}

extension Double: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { .real(self) }
    @inlinable
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .real(let number): self = number
        case .integer(let number): self = Double(number)
        case .null, .text, .blob, .timestamp: return nil
        }
    }
}

extension Bool: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { .integer(self ? 1 : 0) }
    @inlinable
    public init?(sqlValue: SQLValue) {
        guard case .integer(let number) = sqlValue, number == 0 || number == 1 else { return nil }
        self = number == 1
    }
}

extension String: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { .text(self) }
    @inlinable
    public init?(sqlValue: SQLValue) {
        guard case .text(let text) = sqlValue else { return nil }
        self = text
    }
}

extension [UInt8]: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { .blob(self) }
    @inlinable
    public init?(sqlValue: SQLValue) {
        guard case .blob(let bytes) = sqlValue else { return nil }
        self = bytes
    }
}

extension Date: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { .timestamp(self) }
    @inlinable
    public init?(sqlValue: SQLValue) {
        switch sqlValue {
        case .timestamp(let date): self = date
        case .integer(let microseconds): self.init(timeIntervalSince1970: Double(microseconds) / 1e6)
        case .null, .real, .text, .blob: return nil
        }
    }
}

extension Identifier: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { .text(description) }
    @inlinable
    public init?(sqlValue: SQLValue) {
        guard case .text(let text) = sqlValue else { return nil }
        self.init(text)
    }
}

extension Optional: SQLValueConvertible where Wrapped: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { self?.sqlValue ?? .null }
    @inlinable
    public init?(sqlValue: SQLValue) {
        guard sqlValue != .null else {
            self = .none
            return
        }
        guard let wrapped = Wrapped(sqlValue: sqlValue) else { return nil }
        self = .some(wrapped)
    }
}

/// The default implementation for enumerations, which are stored by their raw value.
extension SQLValueConvertible where Self: RawRepresentable, RawValue: SQLValueConvertible {
    @inlinable public var sqlValue: SQLValue { rawValue.sqlValue }
    @inlinable
    public init?(sqlValue: SQLValue) {
        guard let raw = RawValue(sqlValue: sqlValue) else { return nil }
        self.init(rawValue: raw)
    }
}
