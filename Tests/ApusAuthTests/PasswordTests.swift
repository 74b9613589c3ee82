import ApusCore
import Dispatch
import Testing

@testable import ApusAuth

@Suite struct PasswordTests {
    private let hasher = ScryptPasswordHasher(cost: .init(log2Rounds: 6))

    @Test func `A password matches only its own hash, and hashing it again gives another hash`() async throws {
        let (first, second) = (
            try await hasher.hash(Secret("correct horse")), try await hasher.hash(Secret("correct horse"))
        )
        #expect(first != second)
        #expect(first.hasPrefix("$scrypt$ln=6,r=8,p=1$"))
        #expect(try await hasher.verify(Secret("correct horse"), against: first))
        #expect(try await !hasher.verify(Secret("correct horsf"), against: first))
        #expect(try await !hasher.verify(Secret(""), against: first))
    }

    @Test func `A hash with a different cost can be verified`() async throws {
        let stronger = try await ScryptPasswordHasher(cost: .init(log2Rounds: 8)).hash(Secret("x"))
        #expect(try await hasher.verify(Secret("x"), against: stronger))
    }

    @Test func `After a change of the cost, verification takes the same work for hashes of any cost`() {
        typealias Cost = ScryptPasswordHasher.Cost
        for (stored, now) in [(14, 17), (10, 17), (16, 17), (6, 7), (17, 17)] {
            let padding = ScryptPasswordHasher.costs(
                totaling: Cost(log2Rounds: now).work - Cost(log2Rounds: stored).work)
            #expect(padding.reduce(Cost(log2Rounds: stored).work) { $0 + $1.work } == Cost(log2Rounds: now).work)
        }
        var wide = Cost(log2Rounds: 4)
        wide.blockSize = 16
        let padding = ScryptPasswordHasher.costs(totaling: Cost(log2Rounds: 10).work - wide.work)
        #expect(padding.reduce(wide.work) { $0 + $1.work } == Cost(log2Rounds: 10).work)
    }

    @Test func `A hash with a different cost needs a rehash`() async throws {
        let hash = try await hasher.hash(Secret("x"))
        #expect(!hasher.needsRehash(hash))
        let stronger = ScryptPasswordHasher(cost: .init(log2Rounds: 8))
        #expect(stronger.needsRehash(hash))
        #expect(try await stronger.verify(Secret("x"), against: hash))
        #expect(stronger.needsRehash("nonsense"))
    }

    @Test func `The default cost is the one that OWASP recommends, and works`() async throws {
        let hash = try await ScryptPasswordHasher().hash(Secret("x"))
        #expect(hash.hasPrefix("$scrypt$ln=17,r=8,p=1$"))
    }

    @Test func `Every password is wrong for an account that does not exist`() async throws {
        #expect(try await !hasher.verify(Secret("x"), against: nil))
    }

    @Test(arguments: [
        "", "x", "$scrypt$ln=6,r=8,p=1$AAAA", "$scrypt$ln=60,r=8,p=1$AAAA$AAAA", "$bcrypt$ln=6,r=8,p=1$AAAA$AAAA",
    ])
    func `A malformed stored hash is an error and not a mismatch`(hash: String) async {
        await #expect(throws: AppError.self) { try await hasher.verify(Secret("x"), against: hash) }
    }

    @Test func `Work is rejected when the queue is full`() async throws {
        let pool = BlockingPool(name: "test", threads: 1, maximumWaiting: 1)
        // One work item occupies the thread, and one may wait.
        let work = DispatchSemaphore(value: 0)
        let results = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    do {
                        try await pool.run { work.wait() }
                        return true
                    } catch { return false }
                }
            }
            var results: [Bool] = []
            for await isAccepted in group {
                results.append(isAccepted)
                guard results.count == 48 else { continue }
                for _ in 0..<2 { work.signal() }
            }
            return results
        }
        #expect(results == Array(repeating: false, count: 48) + [true, true])
    }
}
