import ApusCore
import ApusData
import ApusSQLite
import Testing

/// Caches inside transactions, which may see what is never committed.
@Suite struct CacheTransactionTests {
    @Test func `Inside a transaction values are loaded directly, and nothing is stored`() async throws {
        try await withDatabase { database in
            let notes = SQLRepository<Note>(database)
            let note = Note(title: "committed")
            try await notes.insert(note)
            let cache = MemoryCache()
            struct RolledBack: Error {}
            await #expect(throws: RolledBack.self) {
                try await database.transaction {
                    try await notes.update(note.id) { $0.title = "not committed" }
                    let title = try await cache.value(for: "note") { try await notes.get(note.id).title }
                    #expect(title == "not committed")
                    throw RolledBack()
                }
            }
            #expect(await cache.get("note", as: String.self) == nil)
            let title = try await cache.value(for: "note") { try await notes.get(note.id).title }
            #expect(title == "committed")
            // What is stored is not used inside a transaction either.
            try await database.transaction {
                try await notes.update(note.id) { $0.title = "changed" }
                let changed = try await cache.value(for: "note") { try await notes.get(note.id).title }
                #expect(changed == "changed")
            }
        }
    }

    @Test func `Inside a transaction nothing is set or got, and a removal is repeated after the commit`() async throws {
        try await withDatabase { database in
            let cache = MemoryCache()
            try await cache.set("set", "before")
            try await database.transaction {
                #expect(await cache.get("set", as: String.self) == nil)
                try await cache.set("set", "not committed")
                await cache.remove("removed")
                // Another task loads what was before the commit. It is not in the transaction.
                await Task.detached {
                    #expect(await cache.get("set", as: String.self) == nil)
                    try? await cache.set("removed", "before the commit")
                }.value
            }
            #expect(await cache.get("set", as: String.self) == nil)
            // The second removal does not delay the transaction.
            let end = ContinuousClock.now + .seconds(60)
            while await cache.get("removed", as: String.self) != nil, ContinuousClock.now < end { await Task.yield() }
            #expect(await cache.get("removed", as: String.self) == nil)
        }
    }
}
