/// A type of the server whose values are converted to and from `SQLValue`.
///
/// Values of all other types are exchanged in text format and become `SQLValue.text`: enumerations, intervals, arrays,
/// network addresses and types of extensions, whose OIDs differ from server to server.
enum PostgresType: UInt8, Sendable, CaseIterable {
    case bool, int2, int4, int8, float4, float8, oid
    case text, json, jsonb, uuid, bytea
    case date, timestamp, timestamptz
    /// Read and written as text: exact, and with NaN and the infinities.
    case numeric
    case unknown

    /// - Parameter oid: The OID of the type, which is fixed for the types built into the server.
    init(oid: UInt32) {
        switch oid {
        case 16: self = .bool
        case 17: self = .bytea
        case 20: self = .int8
        case 21: self = .int2
        case 23: self = .int4
        case 25, 1042, 1043, 19: self = .text  // text, bpchar, varchar, name
        case 26: self = .oid
        case 114: self = .json
        case 700: self = .float4
        case 701: self = .float8
        case 1082: self = .date
        case 1114: self = .timestamp
        case 1184: self = .timestamptz
        case 1700: self = .numeric
        case 2950: self = .uuid
        case 3802: self = .jsonb
        default: self = .unknown
        }
    }

    static let byteaOID: UInt32 = 17
    static let int8OID: UInt32 = 20
    static let float8OID: UInt32 = 701
    static let timestamptzOID: UInt32 = 1184

    /// Whether results of the type are requested in binary format.
    var isReadInBinary: Bool {
        switch self {
        case .bool, .int2, .int4, .int8, .float4, .float8, .oid, .text, .json, .jsonb, .uuid, .bytea, .date, .timestamp,
            .timestamptz:
            true
        case .numeric, .unknown: false
        }
    }
}

/// The format in which a value is exchanged.
enum ValueFormat: Int16, Sendable {
    case text = 0
    case binary = 1
}
