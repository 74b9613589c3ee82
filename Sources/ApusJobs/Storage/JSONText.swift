import ApusJSON

/// The JSON of stored arguments and keys.
enum JSONText {
    static func text(of value: some Encodable) throws -> String {
        String(decoding: try JSON.Encoder.standard.encode(value), as: UTF8.self)
    }

    /// Returns some fields of a job as a JSON array.
    static func array<Work: Job, each Field: Encodable & Sendable>(
        of work: Work, _ fields: repeat any KeyPath<Work, each Field> & Sendable
    ) throws -> String {
        var values: [String] = []
        for field in repeat each fields { values.append(try text(of: work[keyPath: field])) }
        return "[\(values.joined(separator: ","))]"
    }
}
