import ApusCore
import ApusData
import ApusTesting
import Foundation
import Testing

@testable import ApusSQLite

/// How often tasks visit the thread of SQLite's writer, which is what a write costs beside its statements.
@Suite(.timeLimit(.minutes(5))) struct WriterVisitTests {
    private struct Failure: Error {}

    /// Returns the number of visits that a closure makes.
    private func visits(_ database: SQLiteDatabase, _ body: () async throws -> Void) async rethrows -> Int {
        let before = database.writer.visitCount
        try await body()
        return database.writer.visitCount - before
    }

    private func hook(_ database: SQLiteDatabase, _ title: String) -> CommitHook {
        CommitHook(database, statement: "UPDATE notes SET count = count + 1 WHERE title = \(title)") { rows in
            guard rows > 0 else { throw Failure() }
        }
    }

    @Test func `A write, an update and a transaction that does not wait are one visit each`() async throws {
        try await withDatabase { database async throws in
            let notes = SQLRepository<Note>(database)
            let note = Note(title: "a")
            #expect(try await visits(database) { try await notes.insert(note) } == 1)
            #expect(try await visits(database) { try await notes.update(note.id) { $0.count += 1 } } == 1)
            let count = try await visits(database) {
                try await UnitOfWork(database).perform {
                    for number in 0..<10 { try await notes.insert(Note(title: "\(number)")) }
                    try await notes.update(note.id) { $0.count += 1 }
                    try await database.transaction(.savepoint) { try await notes.insert(Note(title: "b")) }
                    #expect(try await notes.list(after: nil, limit: 100).count == 12)
                }
            }
            #expect(count == 1)
            #expect(try await notes.get(note.id).count == 2)
        }
    }

    @Test func `A transaction that waits is one more visit for each wait`() async throws {
        try await withDatabase { database async throws in
            let notes = SQLRepository<Note>(database)
            let count = try await visits(database) {
                try await database.transaction {
                    try await notes.insert(Note(title: "a"))
                    let gate = Gate()
                    Task.detached { gate.open() }
                    try await gate.wait()
                    try await notes.insert(Note(title: "b"))
                }
            }
            #expect((1...2).contains(count))
        }
    }

    @Test func `A commit hook runs in the same visit`() async throws {
        try await withDatabase { database async throws in
            let notes = SQLRepository<Note>(database)
            let key = Note(title: "key")
            try await notes.insert(key)
            try await hook(database, "key").accompany {
                #expect(try await visits(database) { try await notes.insert(Note(title: "a")) } == 1)
                #expect(try await visits(database) { try await notes.update(key.id) { $0.count += 10 } } == 1)
                let count = try await visits(database) {
                    try await database.transaction {
                        try await notes.insert(Note(title: "b"))
                        try await notes.insert(Note(title: "c"))
                    }
                }
                #expect(count == 1)
                // Without changes there is nothing to accompany.
                _ = try await database.transaction { try await notes.find(key.id) }
                try await database.change(reading: "SELECT 1") { _ in Change([], returning: ()) }
            }
            #expect(try await notes.get(key.id).count == 13)
        }
    }

    @Test func `A commit hook that refuses undoes the write, and no other of its group`() async throws {
        try await withDatabase { database async throws in
            let notes = SQLRepository<Note>(database)
            let refusing = hook(database, "nowhere")
            @Sendable func insert(_ number: Int) async throws {
                guard number.isMultiple(of: 2) else { return try await notes.insert(Note(title: "\(number)")) }
                await #expect(throws: Failure.self) {
                    try await refusing.accompany { try await notes.insert(Note(title: "\(number)")) }
                }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 { group.addTask { try await insert(number) } }
                try await group.waitForAll()
            }
            await #expect(throws: Failure.self) {
                try await refusing.accompany { try await database.transaction { try await insert(1) } }
            }
            #expect(try await notes.list(after: nil, limit: 100).count == 20)
        }
    }

    private actor Account {
        var total = 0

        /// Changes the state of the actor in a transaction of the database.
        func add(_ number: Int, _ notes: SQLRepository<Note>) async throws {
            try await notes.database.transaction {
                total += number
                try await notes.insert(Note(title: "\(number)"))
                total -= 1
            }
            total += 1
        }
    }

    @Test func `A transaction can run on an actor and on the main actor`() async throws {
        try await withDatabase { database async throws in
            let notes = SQLRepository<Note>(database)
            let account = Account()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...100 { group.addTask { try await account.add(number, notes) } }
                try await group.waitForAll()
            }
            #expect(await account.total == 5050)
            try await onMain(notes)
            #expect(try await notes.list(after: nil, limit: 1000).count == 102)
        }
    }

    @MainActor private func onMain(_ notes: SQLRepository<Note>) async throws {
        try await notes.database.transaction {
            MainActor.assertIsolated()
            try await notes.insert(Note(title: "main"))
            MainActor.assertIsolated()
            try await notes.insert(Note(title: "main"))
        }
        MainActor.assertIsolated()
    }

    @Test func `The closure of a transaction runs on the writer's thread, and the task leaves it afterwards`()
        async throws
    {
        try await withDatabase { database async throws in
            let writer = try await database.transaction { pthread_self() }
            #expect(pthread_self() != writer)
            #expect(try await database.transaction { pthread_self() } == writer)
            try? await database.transaction { throw Failure() }
            #expect(pthread_self() != writer)
            try await database.transaction(.snapshot) { #expect(pthread_self() != writer) }
            try await database.transaction { UnitOfWork.afterCommit { #expect(pthread_self() != writer) } }
            #expect(pthread_self() != writer)
        }
    }

    @Test func `A transaction that goes on after it was rolled back does not hold the writer`() async throws {
        var options = SQLiteOptions()
        options.idleTransactionLimit = .milliseconds(100)
        try await withDatabase(options: options) { database async throws in
            let notes = SQLRepository<Note>(database)
            let ended = await code {
                try await database.transaction {
                    let other = Gate()
                    Task.detached {
                        try await notes.insert(Note(title: "other"))
                        other.open()
                    }
                    try await other.wait()
                    try await notes.insert(Note(title: "late"))
                }
            }
            #expect(ended == .aborted)
            #expect(try await notes.list(after: nil, limit: 10).map(\.title) == ["other"])
        }
    }
}
