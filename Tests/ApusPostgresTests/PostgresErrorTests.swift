import ApusCore
import ApusData
import NIOCore
import Testing

@testable import ApusPostgres

struct PostgresErrorTests {
    @Test(arguments: [
        ("23505", StatusCode.alreadyExists), ("23503", .failedPrecondition), ("23514", .failedPrecondition),
        ("23502", .failedPrecondition), ("40001", .aborted), ("40P01", .aborted), ("57014", .cancelled),
        ("53300", .unavailable), ("57P01", .unavailable), ("57P03", .unavailable), ("08006", .unavailable),
        ("22P02", .invalidArgument), ("22021", .invalidArgument), ("22P05", .invalidArgument),
        ("25006", .unavailable), ("42601", .internal), ("28P01", .internal), ("XX001", .dataLoss), ("XX000", .internal),
        ("40003", .unknown),
    ])
    func `Each SQLSTATE has its code`(sqlState: String, code: StatusCode) {
        #expect(AppError(postgres: PostgresError(sqlState: sqlState, message: "secret")).code == code)
    }

    @Test(arguments: [("40001", true), ("40P01", true), ("55P03", true), ("40003", false), ("23505", false)])
    func `A transaction in conflict with another may run again`(sqlState: String, isConflict: Bool) {
        let error = AppError(postgres: PostgresError(sqlState: sqlState, message: ""))
        #expect(error.isTransactionConflict == isConflict)
    }

    @Test func `What the server says is logged but never shown`() throws {
        let error = AppError(postgres: PostgresError(sqlState: "42601", message: "syntax error at hidden"))
        #expect(!error.description.contains("hidden") && !error.description.contains("42601"))
        #expect(error.debugDescription.contains("hidden") && error.debugDescription.contains("42601"))
    }

    @Test func `The fields of an error are read, and unknown ones are skipped`() throws {
        let fields = "SFEHLER\0VERROR\0C23505\0Mdouble\0nt_key\0tt\0?unknown\0DKey (a)=(secret)\0\0"
        let error = try #require(PostgresError(ByteBuffer(string: fields)))
        #expect(error.severity == "ERROR" && error.sqlState == "23505" && error.constraint == "t_key")
        #expect(error.description == "ERROR 23505: double (constraint t_key) (table t)")
    }

    @Test func `A malformed error is rejected at every cut`() {
        let fields = Array("SERROR\0C23505\0Mdouble\0\0".utf8)
        for count in 0..<13 { #expect(PostgresError(ByteBuffer(bytes: fields[..<count])) == nil) }
    }

    @Test(arguments: ["25006", "57P01", "57P02", "57P03"])
    func `A server that fails over or stops is not used again`(sqlState: String) {
        #expect(PostgresError(sqlState: sqlState, message: "").condemnsConnection)
    }
}
