import ApusData
import GRDB

extension GRDB.Statement {
    var handle: StatementHandle { StatementHandle(pointer: sqliteStatement) }

    /// Sets the values of the placeholders.
    func bind(_ values: [SQLValue]) throws {
        // Tells GRDB that it has no arguments to bind.
        handle.reset()
        setUncheckedArguments(StatementArguments())
        try handle.bind(values)
    }
}
