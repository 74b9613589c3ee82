import Apus

struct SQLAccountRepository: AccountRepository, SQLBackedRepository {
    let table: SQLRepository<Account>

    init(database: any Database) { table = SQLRepository(database) }

    func find(email: String) async throws -> Account? { try await table.first(where: "email = \(email.lowercased())") }
}

extension Account: Record {
    static let table = "accounts"

    init(row: Row) throws {
        id = try row.get("id")
        email = try row.get("email")
        name = try row.get("name")
        role = try row.get("role")
        passwordHash = try row.get("password_hash")
        createdAt = try row.get("created_at")
    }

    var columns: [(name: String, value: any SQLValueConvertible)] {
        [
            ("id", id), ("email", email), ("name", name), ("role", role), ("password_hash", passwordHash),
            ("created_at", createdAt),
        ]
    }
}

extension Account.Role: SQLValueConvertible {}

enum CreateAccounts: Migration {
    static let id = "2026-11-23-create-accounts"
    static let statements: [SQL] = [
        """
        CREATE TABLE accounts (
            id TEXT PRIMARY KEY,
            email TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            role TEXT NOT NULL,
            password_hash TEXT NOT NULL,
            created_at \(type: .timestamp) NOT NULL
        )\(SQL.strict)
        """
    ]
}
