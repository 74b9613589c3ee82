import ApusCore
import ApusData
import ApusSQLite
import ApusTesting
import Testing

/// What would make changes outside of the transaction that they belong to is an error, on every implementation.
@Suite(.timeLimit(.minutes(5))) struct TransactionMisuseTests {
    typealias Contract = RepositoryContractTests

    private struct Failure: Error {}

    /// Expects an error of misuse, whose cause, which is only logged, contains a text.
    private func expectMisuse(_ text: String, _ body: () async throws -> Void) async {
        let error = await #expect(throws: AppError.self) { try await body() }
        #expect(error?.code == .internal)
        #expect(error?.debugDescription.contains(text) == true, "\(error?.debugDescription ?? "")")
    }

    @Test(arguments: Contract.Implementation.allCases)
    func `A task that outlives its transaction cannot change anything in its name`(
        implementation: Contract.Implementation
    ) async throws {
        try await Contract().with(implementation) { repositories async throws in
            let notes = repositories.notes
            let ended = Gate()
            let tasks = try await repositories.unitOfWork.perform {
                let statement = Task {
                    try await ended.wait()
                    await expectMisuse("has ended") { try await notes.insert(Note(title: "late")) }
                    await expectMisuse("has ended") {
                        try await repositories.unitOfWork.perform { try await notes.insert(Note(title: "late")) }
                    }
                }
                let detached = Task {
                    try await ended.wait()
                    try await UnitOfWork.withoutTransaction { try await notes.insert(Note(title: "detached")) }
                }
                return [statement, detached]
            }
            ended.open()
            for task in tasks { try await task.value }
            #expect(try await notes.list(after: nil, limit: 10).map(\.title) == ["detached"])
        }
    }

    @Test(arguments: Contract.Implementation.allCases)
    func `An action after the commit can start a task that uses the database`(
        implementation: Contract.Implementation
    ) async throws {
        try await Contract().with(implementation) { repositories async throws in
            let notes = repositories.notes
            let inserted = Gate()
            try await repositories.unitOfWork.perform {
                UnitOfWork.afterCommit {
                    Task {
                        try await notes.insert(Note(title: "after"))
                        inserted.open()
                    }
                }
            }
            try await inserted.wait()
            #expect(try await notes.list(after: nil, limit: 10).map(\.title) == ["after"])
        }
    }

    @Test(arguments: Contract.Implementation.allCases)
    func `A transaction whose closure returns while a task is in a nested one is not committed`(
        implementation: Contract.Implementation
    ) async throws {
        try await Contract().with(implementation) { repositories async throws in
            let (notes, unitOfWork) = (repositories.notes, repositories.unitOfWork)
            let (nested, resume) = (Gate(), Gate())
            await expectMisuse("still runs") {
                try await unitOfWork.perform {
                    Task {
                        try await unitOfWork.perform {
                            try await notes.insert(Note(title: "half"))
                            nested.open()
                            try await resume.wait()
                            try await notes.insert(Note(title: "other half"))
                        }
                    }
                    try await nested.wait()
                }
            }
            resume.open()
            #expect(try await notes.list(after: nil, limit: 10) == [])
        }
    }

    @Test(arguments: Contract.Implementation.allCases)
    func `Child tasks of a transaction are part of it`(implementation: Contract.Implementation) async throws {
        try await Contract().with(implementation) { repositories async throws in
            let (notes, unitOfWork) = (repositories.notes, repositories.unitOfWork)
            @Sendable func insertMany() async throws {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<50 {
                        group.addTask {
                            try await unitOfWork.perform { try await notes.insert(Note(title: "\(number)")) }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            await #expect(throws: Failure.self) {
                try await unitOfWork.perform {
                    async let first: Void = insertMany()
                    async let second: Void = insertMany()
                    _ = try await (first, second)
                    #expect(try await notes.list(after: nil, limit: 1000).count == 100)
                    throw Failure()
                }
            }
            #expect(try await notes.list(after: nil, limit: 1000) == [])
            try await unitOfWork.perform { try await insertMany() }
            #expect(try await notes.list(after: nil, limit: 1000).count == 50)
        }
    }

    @Test(arguments: Contract.Implementation.allCases)
    func `Beside the savepoint of another task nothing can be changed, because it would be undone with it`(
        implementation: Contract.Implementation
    ) async throws {
        try await Contract().with(implementation) { repositories async throws in
            let (notes, unitOfWork) = (repositories.notes, repositories.unitOfWork)
            let (begun, resume) = (Gate(), Gate())
            try await unitOfWork.perform {
                async let savepoint: Void = unitOfWork.perform(.savepoint) {
                    try await notes.insert(Note(title: "undone"))
                    // A child task of the savepoint is in it.
                    async let child: Void = notes.insert(Note(title: "undone too"))
                    try await child
                    begun.open()
                    try await resume.wait()
                    throw Failure()
                }
                try await begun.wait()
                await expectMisuse("in a savepoint") { try await notes.insert(Note(title: "beside")) }
                await expectMisuse("in a savepoint") {
                    try await unitOfWork.perform(.savepoint) { try await notes.insert(Note(title: "beside")) }
                }
                resume.open()
                do {
                    try await savepoint
                    Issue.record("The savepoint did not fail.")
                } catch is Failure {}
                try await notes.insert(Note(title: "after"))
            }
            #expect(try await notes.list(after: nil, limit: 10).map(\.title) == ["after"])
        }
    }

    @Test(arguments: Contract.Implementation.allCases)
    func `A statement on another database inside a transaction throws, unless it is allowed`(
        implementation: Contract.Implementation
    ) async throws {
        try await Contract().with(implementation) { first async throws in
            try await Contract().with(.sqliteInMemory) { second async throws in
                await expectMisuse("on the database :memory: inside a transaction of the database ") {
                    try await first.unitOfWork.perform { try await second.notes.insert(Note(title: "b")) }
                }
                await expectMisuse("UnitOfWork.allowingOtherDatabases") {
                    try await first.unitOfWork.perform {
                        try await second.unitOfWork.perform { try await second.notes.insert(Note(title: "b")) }
                    }
                }
                #expect(try await second.notes.list(after: nil, limit: 10) == [])
                await #expect(throws: Failure.self) {
                    try await first.unitOfWork.perform {
                        try await first.notes.insert(Note(title: "a"))
                        try await UnitOfWork.allowingOtherDatabases { try await second.notes.insert(Note(title: "b")) }
                        throw Failure()
                    }
                }
                #expect(try await first.notes.list(after: nil, limit: 10) == [])
                #expect(try await second.notes.list(after: nil, limit: 10).map(\.title) == ["b"])
            }
        }
    }

    @Test(arguments: Contract.Implementation.allCases.filter { $0 != .memory })
    func `A task that the closure of a change starts is not in its transaction`(
        implementation: Contract.Implementation
    ) async throws {
        try await Contract().with(implementation) { repositories async throws in
            let notes = repositories.notes
            let checked = Gate()
            let note = Note(title: "a")
            try await notes.insert(note)
            try await notes.update(note.id) { note in
                note.count = 1
                Task {
                    await expectMisuse("closure of a change") { try await notes.insert(Note(title: "b")) }
                    checked.open()
                }
            }
            try await checked.wait()
            #expect(try await notes.list(after: nil, limit: 10).map(\.count) == [1])
        }
    }
}
