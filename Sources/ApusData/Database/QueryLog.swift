package import Logging

/// Logs statements: each at level `debug`, with its duration and number of rows, and slow ones as warnings. Values are
/// never logged, only the text with placeholders.
package struct QueryLog: Sendable {
    private let logger: Logger
    private let dialect: SQLDialect
    private let slowQuery: Duration

    /// - Parameter slowQuery: How long a statement may run before it is logged as a warning.
    package init(_ logger: Logger, dialect: SQLDialect, slowQuery: Duration) {
        self.logger = logger
        self.dialect = dialect
        self.slowQuery = slowQuery
    }

    /// Logs a statement that has run.
    /// - Parameters:
    ///   - sql: The statement, which is needed only if it is logged.
    ///   - duration: How long it ran, without the time in which it waited for a connection.
    ///   - rows: The number of rows that it returned or changed.
    package func record(_ sql: @autoclosure () -> SQL, duration: Duration, rows: Int) {
        let isSlow = duration >= slowQuery
        guard isSlow || logger.logLevel <= .debug else { return }
        let milliseconds = Double(duration.components.seconds) * 1000 + Double(duration.components.attoseconds) / 1e15
        let rounded = (milliseconds * 1000).rounded() / 1000
        logger.log(
            level: isSlow ? .warning : .debug, isSlow ? "slow query" : "query",
            metadata: [
                "sql": .string(
                    sql().resolvingLists(for: dialect).template.text(for: dialect) {
                        dialect == .postgres ? "$\($0)" : "?"
                    }),
                "duration_ms": "\(rounded)", "rows": "\(rows)",
            ])
    }
}
