import ApusCore
public import FoundationEssentials
public import HTTPTypes

// Dates as parameters: RFC 3339 text, as in bodies.

extension Path where Value == Date {
    /// A date in the path.
    public init(_ name: String, as type: Date.Type) { self.init(name, .date()) }
}

extension Query {
    /// A date that must be there, unless there is a default.
    public init(_ name: String, as type: Date.Type, default defaultValue: Date? = nil) where Value == Date {
        self.init(name, .date(default: defaultValue))
    }

    /// A date that may be missing.
    public init(_ name: String, as type: Date?.Type) where Value == Date? { self.init(name, .optionalDate()) }

    /// Any number of dates.
    public init(_ name: String, as type: [Date].Type) where Value == [Date] { self.init(name, .dates()) }
}

extension Header {
    /// A date that must be there, unless there is a default. For HTTP's own date fields see RFC 9110: they have another form.
    public init(_ name: HTTPField.Name, as type: Date.Type, default defaultValue: Date? = nil) where Value == Date {
        self.init(name, .date(default: defaultValue))
    }

    /// A date that may be missing.
    public init(_ name: HTTPField.Name, as type: Date?.Type) where Value == Date? { self.init(name, .optionalDate()) }
}

extension Cookie {
    /// A date that must be there, unless there is a default.
    public init(_ name: String, as type: Date.Type, default defaultValue: Date? = nil) where Value == Date {
        self.init(name, .date(default: defaultValue))
    }

    /// A date that may be missing.
    public init(_ name: String, as type: Date?.Type) where Value == Date? { self.init(name, .optionalDate()) }
}
