import Apus
import FoundationEssentials

/// Migrated databases on the server that the tests of the process share.
///
/// Nothing ever connects to a template once it is migrated: the server refuses to copy a database that is in use.
struct PostgresTemplates: Sendable {
    static let shared = PostgresTemplates()

    private let templates = ValuesOfMigrations<String>()
    private let sharedCopies = ValuesOfMigrations<String>()
    private let administrators = ValuesOfMigrations<any Database>()

    /// Creates a database that is dropped after its test.
    func copy(_ engine: any DatabaseEngine, _ migrations: [any Migration.Type]) async throws -> DatabaseCopy {
        let administrator = try await administrator(engine)
        let name = try await clone(engine, migrations)
        return DatabaseCopy(url: try await Self.url(name)) {
            // Connections that the test did not close would otherwise keep it.
            _ = try? await administrator.execute("DROP DATABASE \(identifier: name) WITH (FORCE)")
        }
    }

    /// Returns a database that tests share which roll back what they do. It is there until the process ends.
    func sharedCopy(_ engine: any DatabaseEngine, _ migrations: [any Migration.Type]) async throws -> DatabaseCopy {
        let name = try await sharedCopies.value(migrations) { try await clone(engine, migrations) }
        return DatabaseCopy(url: try await Self.url(name))
    }

    private func clone(_ engine: any DatabaseEngine, _ migrations: [any Migration.Type]) async throws -> String {
        let template = try await templates.value(migrations) { try await makeTemplate(engine, migrations) }
        return try await create(engine, template: template)
    }

    private func makeTemplate(
        _ engine: any DatabaseEngine, _ migrations: [any Migration.Type]
    ) async throws -> String {
        let name = try await create(engine, template: "template1")
        let database = try engine.open(try await Self.url(name))
        do {
            try await database.apply(migrations)
        } catch {
            await database.close()
            throw error
        }
        await database.close()
        try await administrator(engine).execute("ALTER DATABASE \(identifier: name) ALLOW_CONNECTIONS false")
        return name
    }

    private func create(_ engine: any DatabaseEngine, template: String) async throws -> String {
        let name = "test_\(UUID().uuidString.filter { $0 != "-" }.lowercased())"
        let server = try await TestPostgres.shared()
        try await administrator(engine).execute(server.createStatement(name, template: template))
        return name
    }

    /// Returns the database whose connections create and drop the others. It stays open until the process ends.
    private func administrator(_ engine: any DatabaseEngine) async throws -> any Database {
        try await administrators.value([]) { try engine.open(try await Self.url("postgres")) }
    }

    /// Many tests run at once on few processors, so connecting may take long.
    private static func url(_ name: String) async throws -> String {
        try await TestPostgres.shared().url(database: name, parameters: "connect_timeout=60")
    }
}
