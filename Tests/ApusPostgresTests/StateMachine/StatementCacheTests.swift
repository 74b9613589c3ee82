import ApusCore
import ApusData
import Testing

@testable import ApusPostgres

struct StatementCacheTests {
    @Test func `A text has one statement however it was put together`() throws {
        var cache = StatementCache(capacity: 8)
        let condition: SQL = "id = \(1)"
        let whole: SQL = "SELECT n FROM t WHERE id = \(1)"
        let composed: SQL = "SELECT n FROM t WHERE \(condition)"
        let statement = try cache.statement(whole.template)
        #expect(statement.sql == "SELECT n FROM t WHERE id = $1")
        #expect(try cache.statement(composed.template) === statement)
        #expect(cache.statement("SELECT n FROM t WHERE id = $1") === statement)
        #expect(try cache.statement(whole.template) === statement)
    }

    @Test func `Statements that were not used lately are forgotten`() throws {
        var cache = StatementCache(capacity: 4)
        let often: SQL = "SELECT \("often")"
        let statement = try cache.statement(often.template)
        let first = cache.statement("SELECT 0")
        for number in 1..<100 {
            _ = cache.statement("SELECT \(number)")
            #expect(try cache.statement(often.template) === statement)
        }
        #expect(cache.statement("SELECT 0") !== first)
    }

    @Test func `A very long text is not kept`() throws {
        var cache = StatementCache(capacity: 4)
        let long = SQL(text: "SELECT '\(String(repeating: "x", count: StatementCache.maximumLength))'")
        #expect(try cache.statement(long.template) !== cache.statement(long.template))
    }

    @Test func `A name that contains U+0000 is rejected each time`() {
        var cache = StatementCache(capacity: 4)
        let sql: SQL = "SELECT * FROM \(identifier: "a\0")"
        for _ in 0..<2 {
            #expect(throws: AppError.self) { _ = try cache.statement(sql.template) }
        }
    }
}
