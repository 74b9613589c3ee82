import ApusCore
import ApusData
import FoundationEssentials

/// The SQL statements of the lifecycle of jobs. Every statement after the claim checks the fence, so that a worker that
/// lost its lease changes nothing.
struct JobStore: Sendable {
    let database: any Database
    let clock: any WallClock

    /// Returns rows of an identifier and a number, which come from one JSON array of pairs: one value to bind, however
    /// many there are.
    func pairs(_ pairs: some Sequence<(JobRecord.ID, Int)>) -> SQL {
        let json = "[" + pairs.map { "[\"\($0)\",\($1)]" }.joined(separator: ",") + "]"
        switch database.dialect {
        case .sqlite:
            return
                "(SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS number FROM json_each(\(json)))"
        case .postgres:
            return """
                (SELECT (value->>0)::uuid AS id, (value->>1)::bigint AS number
                FROM jsonb_array_elements(\(json)::jsonb) AS pairs (value))
                """
        }
    }
}
