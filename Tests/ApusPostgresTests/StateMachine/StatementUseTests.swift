import ApusCore
import Testing

@testable import ApusPostgres

/// Statements that would change the state of a connection that others use as well.
struct StatementUseTests {
    @Test(arguments: [
        "BEGIN", "  start transaction", "\n\tCOMMIT", "END", "rollback", "abort", "PREPARE x AS SELECT 1",
        "DEALLOCATE ALL", "DISCARD ALL", "COPY t TO STDOUT", "LISTEN x", "UNLISTEN *",
        // The server skips what is before the first word.
        ";BEGIN", "; ; \n BEGIN", "-- comment\nBEGIN", "--\rBEGIN", "/* comment */BEGIN", "/* a /* b */ c */ BEGIN",
        "/**/-- x\n;/* y */\u{C}COPY t FROM STDIN",
        // These outlive the statement.
        "SET ROLE admin", "SET search_path = a", "set session statement_timeout = 1", "SET SESSION AUTHORIZATION x",
        "RESET ALL", "RESET ROLE", "/* SET LOCAL */ SET TIME ZONE 'x'", "ROLLBACK /* TO */",
        "SET/* LOCAL */ROLE x", "SELECT 1\0",
    ])
    func `A statement that would leave something behind is refused`(sql: String) {
        #expect {
            try PostgresStatement(sql).checkUse()
        } throws: {
            ($0 as? AppError)?.code == .internal
        }
    }

    @Test(arguments: [
        "SELECT 1", "", ";", "-- BEGIN", "/* BEGIN */", "/* open BEGIN", "SELECT 1 -- BEGIN", "BEGINNING",
        "ROLLBACK TO SAVEPOINT a", "rollback work to a", "ROLLBACK/**/TO a", "SET LOCAL lock_timeout = '2s'",
        "SET TRANSACTION READ ONLY",
        "set constraints all deferred", "/* x */ SET LOCAL a.b = 1", "(SELECT 1)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SETTLE", "é BEGIN",
    ])
    func `Any other statement is not`(sql: String) {
        #expect(throws: Never.self) { try PostgresStatement(sql).checkUse() }
    }
}
