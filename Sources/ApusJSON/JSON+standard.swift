import ApusCore
import FoundationEssentials

extension JSON.Encoder {
    /// The encoder of everything that Apus sends and stores: bodies, jobs, sessions, messages. Dates are RFC 3339 text in UTC
    /// with milliseconds, `/` is not escaped.
    public static let standard = {
        var encoder = JSON.Encoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        encoder.dateEncodingStrategy = .custom { date, encoder in
            guard let text = RFC3339.format(date) else {
                // Not the date itself: Foundation traps when it describes one without a number of seconds.
                throw EncodingError.invalidValue(
                    date.timeIntervalSince1970,
                    .init(
                        codingPath: encoder.codingPath,
                        debugDescription: "A date must be within the years 0 to 9999 (RFC 3339)."))
            }
            var container = encoder.singleValueContainer()
            try container.encode(text)
        }
        return encoder
    }()
}

extension JSON.Decoder {
    /// The decoder of everything that Apus receives and reads back. Dates are RFC 3339 text; an object that has a key twice is
    /// rejected.
    public static let standard = {
        var decoder = JSON.Decoder()
        decoder.limits.duplicateKeys = .reject
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            if let date = RFC3339.parse(try container.decode(String.self)) { return date }
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "Expected an RFC 3339 date such as 2026-01-31T12:00:00Z.")
        }
        return decoder
    }()
}
