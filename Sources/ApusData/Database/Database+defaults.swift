import ApusCore

extension Database {
    public var name: String { "\(Self.self)" }

    public var pubSub: (any PubSub)? { nil }

    @discardableResult
    public func transaction<Result: Sendable>(
        _ options: TransactionOptions, _ body: () async throws -> Result
    ) async throws -> Result {
        try await options.run(on: self, body) {
            try await transaction {
                if let setting = options.setting(dialect) { try await execute(setting) }
                return try await body()
            }
        }
    }

    public func stream<Result: Sendable>(_ sql: SQL, _ body: (RowStream) async throws -> Result) async throws -> Result
    {
        try await body(RowStream(rows: try await query(sql)))
    }

    public func change<Result: Sendable>(
        reading: SQL, _ decide: @escaping @Sendable ([Row]) throws -> Change<Result>
    ) async throws -> Result {
        try await transaction {
            let change = try decide(try await query(reading))
            for statement in change.statements { try await execute(statement) }
            return change.result
        }
    }

    public func batch(_ statements: [SQL]) async throws -> [[Row]] {
        if statements.allSatisfy(\.isRead) { return try await queryEach(statements) }
        return try await transaction { try await queryEach(statements) }
    }

    private func queryEach(_ statements: [SQL]) async throws -> [[Row]] {
        var results: [[Row]] = []
        for statement in statements { results.append(try await query(statement)) }
        return results
    }

    @discardableResult
    public func load(into table: String, columns: [String], rows: [[any SQLValueConvertible]]) async throws -> Int {
        try await insert(into: table, columns: columns, rows: rows)
    }

    public var statistics: DatabaseStatistics { DatabaseStatistics() }

    public func checkHealth() async throws { _ = try await query("SELECT 1") }

    public func withMigrationLock<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await body()
    }

    public func backUp(to path: String) async throws {
        throw AppError(.unimplemented, "This database is backed up by the tools of its engine.")
    }

    public func checkIntegrity() async throws -> [String] {
        throw AppError(.unimplemented, "This database is checked by the tools of its engine.")
    }
}
