import ApusCore
import ApusData

/// The statements of an event loop, with a limit; beyond it, those that were not used lately are forgotten.
struct StatementCache {
    /// By their text, which has one statement however it was put together.
    private var statements: [ExactString: PostgresStatement] = [:]
    /// By what their text is rendered from.
    private var templates: [SQLTemplate: PostgresStatement] = [:]
    private var clock = 0
    private let capacity: Int

    /// The maximum length of the text of a statement that is remembered, in bytes.
    static let maximumLength = 16 << 10

    init(capacity: Int) { self.capacity = max(1, capacity) }

    /// Returns the statement of a template without lists.
    /// - Throws: An `AppError` of code `invalidArgument` if it cannot be sent.
    mutating func statement(_ template: SQLTemplate) throws(AppError) -> PostgresStatement {
        clock += 1
        if let statement = templates[template] {
            statement.lastUse = clock
            return statement
        }
        let statement = statement(try template.text(for: .postgres))
        if statement.isKept {
            // Several templates may have one text.
            if templates.count >= 2 * capacity { templates = [:] }
            templates[template] = statement
        }
        return statement
    }

    mutating func statement(_ sql: String) -> PostgresStatement {
        clock += 1
        let key = ExactString(sql)
        if let statement = statements[key] {
            statement.lastUse = clock
            return statement
        }
        let statement = PostgresStatement(sql)
        guard statement.isKept else { return statement }
        if statements.count >= capacity { evict() }
        statement.lastUse = clock
        statements[key] = statement
        return statement
    }

    /// Forgets the older half, so that a flood of different statements does not scan the cache for each.
    private mutating func evict() {
        let median = statements.values.map(\.lastUse).sorted()[statements.count / 2]
        statements = statements.filter { $0.value.lastUse > median }
        templates = templates.filter { $0.value.lastUse > median }
    }
}
