import ApusCore
public import FoundationEssentials
public import HTTPTypes

// Dates as parameters are RFC 3339 text, as in bodies.

extension Path where Value == Date {
    /// Creates an input for a date in the path.
    public init(_ name: String, as type: Date.Type) { self.init(name, .date()) }
}

extension Query {
    /// Creates an input for a date, which is required unless there is a default.
    public init(_ name: String, as type: Date.Type, default defaultValue: Date? = nil) where Value == Date {
        self.init(name, .date(default: defaultValue))
    }

    /// Creates an input for an optional date.
    public init(_ name: String, as type: Date?.Type) where Value == Date? { self.init(name, .optionalDate()) }

    /// Creates an input for any number of dates.
    public init(_ name: String, as type: [Date].Type) where Value == [Date] { self.init(name, .dates()) }
}

extension Header {
    /// Creates an input for a date, which is required unless there is a default. HTTP's own date fields have another
    /// format (RFC 9110).
    public init(_ name: HTTPField.Name, as type: Date.Type, default defaultValue: Date? = nil) where Value == Date {
        self.init(name, .date(default: defaultValue))
    }

    /// Creates an input for an optional date.
    public init(_ name: HTTPField.Name, as type: Date?.Type) where Value == Date? { self.init(name, .optionalDate()) }
}

extension Cookie {
    /// Creates an input for a date, which is required unless there is a default.
    public init(_ name: String, as type: Date.Type, default defaultValue: Date? = nil) where Value == Date {
        self.init(name, .date(default: defaultValue))
    }

    /// Creates an input for an optional date.
    public init(_ name: String, as type: Date?.Type) where Value == Date? { self.init(name, .optionalDate()) }
}
