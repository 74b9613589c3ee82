import ApusData
import Testing

struct SQLTemplateTests {
    private func template(_ sql: SQL) -> SQLTemplate { sql.template }

    @Test func `Values do not distinguish templates, and everything else does`() {
        func read(_ id: Int) -> SQL { "SELECT * FROM \(identifier: "t") WHERE id = \(id) AND x IN \(list: [id])" }
        #expect(template(read(1)) == template(read(2)))
        #expect(template(read(1)).hashValue == template(read(2)).hashValue)
        let different: [SQL] = [
            "SELECT 1", "SELECT 2", "SELECT \(1)", "SELECT \(identifier: "1")", "SELECT 1 IN \(list: [1])",
            "SELECT 1 IN \(list: [1, 2])", "SELECT 1\(SQL.rowLock)", "SELECT 1\(SQL.rowLockSkippingLocked)",
            "SELECT 1\(SQL.strict)", "SELECT \(type: .bytes)", "SELECT \(type: .text)",
        ]
        #expect(Set(different.map(\.template)).count == different.count)
    }

    @Test func `Text is compared byte by byte`() {
        #expect(template("SELECT '\u{e9}'") != template("SELECT 'e\u{301}'"))
        #expect(template("SELECT \(identifier: "\u{e9}")") != template("SELECT \(identifier: "e\u{301}")"))
    }

    @Test func `Statements in statements keep their values in order`() throws {
        let inner: SQL = "b = \(2) AND c IN \(list: [3, 4])"
        let sql: SQL = "SELECT \(1) WHERE \(inner) OR \(SQL.joined(["d = \(5)", "e = \(6)"], separator: " OR "))"
        let rendered = try sql.rendered(for: .sqlite)
        #expect(rendered.text == "SELECT ? WHERE b = ? AND c IN (?, ?) OR d = ? OR e = ?")
        #expect(rendered.values == [1, 2, 3, 4, 5, 6].map { .integer($0) })
    }
}
