public import ApusCore
import Crypto
import CryptoExtras
import FoundationEssentials
import Synchronization

/// Hashes with scrypt (RFC 7914), written in the PHC form `$scrypt$ln=17,r=8,p=1$salt$hash`.
///
/// Hashing takes a tenth of a second and 128 MiB by intention, so it runs on a few threads of its own, and no more than a
/// bounded number may wait for them.
public final class ScryptPasswordHasher: PasswordHasher {
    /// How much work a guess is to cost.
    public struct Cost: Sendable, Equatable {
        /// The binary logarithm of the iterations. 17, as OWASP recommends; each step down halves time and memory.
        public var log2Rounds = 17
        /// The block size.
        public var blockSize = 8
        /// The parallelism.
        public var parallelism = 1

        public init(log2Rounds: Int = 17) { self.log2Rounds = log2Rounds }

        /// What the time of one hash is proportional to.
        var work: Int { (1 << log2Rounds) * blockSize * parallelism }
    }

    private let cost: Cost
    private let pool: BlockingPool
    /// The most work that a known hash takes: what all others are made to take, too.
    private let maximumWork: Mutex<Int>
    /// What an unknown account's password is compared with.
    private let decoy: String

    /// - Parameters:
    ///   - cost: The cost of new hashes; those that exist keep their own.
    ///   - threads: How many hashes are made at a time.
    ///   - waiting: How many more may wait.
    public init(cost: Cost = Cost(), threads: Int = 2, waiting: Int = 64) {
        self.cost = cost
        maximumWork = Mutex(cost.work)
        pool = BlockingPool(name: "apus.password", threads: threads, waiting: waiting)
        decoy = Self.encode(cost, salt: Self.randomBytes(16), hash: Self.randomBytes(32))
    }

    public func hash(_ password: Secret<String>) async throws -> String {
        let cost = cost
        return try await pool.run {
            let salt = Self.randomBytes(16)
            return Self.encode(cost, salt: salt, hash: try Self.derive(password, salt, cost))
        }
    }

    public func verify(_ password: Secret<String>, against hash: String?) async throws -> Bool {
        guard let stored = Self.decode(hash ?? decoy) else {
            throw AppError(.internal, "A stored password hash is malformed.")
        }
        let work = maximumWork.withLock { work in
            work = max(work, stored.cost.work)
            return work
        }
        let isRight = try await pool.run {
            let isRight = constantTimeEqual(try Self.derive(password, stored.salt, stored.cost), stored.hash)
            // A hash of a lower cost, as there are after a change of cost, would tell by its time that the account exists.
            for rest in Self.costs(of: work - stored.cost.work) { _ = try Self.derive(password, stored.salt, rest) }
            return isRight
        }
        return isRight && hash != nil
    }

    public func needsRehash(_ hash: String) -> Bool { Self.decode(hash).map { $0.cost != cost } ?? true }

    /// Costs whose work is as much together, as far as it can be divided.
    static func costs(of work: Int) -> [Cost] {
        let blockSize = Cost().blockSize
        return (1..<32).reversed().filter { (work / blockSize) >> $0 & 1 == 1 }.map { Cost(log2Rounds: $0) }
    }

    private static func derive(_ password: Secret<String>, _ salt: [UInt8], _ cost: Cost) throws -> [UInt8] {
        let key = try KDF.Scrypt.deriveKey(
            from: Data(password.reveal().utf8), salt: salt, outputByteCount: 32, rounds: 1 << cost.log2Rounds,
            blockSize: cost.blockSize, parallelism: cost.parallelism)
        return key.withUnsafeBytes { Array($0) }
    }

    private static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in generator.next() }
    }

    private static func encode(_ cost: Cost, salt: [UInt8], hash: [UInt8]) -> String {
        let parameters = "ln=\(cost.log2Rounds),r=\(cost.blockSize),p=\(cost.parallelism)"
        return "$scrypt$\(parameters)$\(Data(salt).base64EncodedString())$\(Data(hash).base64EncodedString())"
    }

    private static func decode(_ text: String) -> (cost: Cost, salt: [UInt8], hash: [UInt8])? {
        let parts = text.split(separator: "$")
        guard parts.count == 4, parts[0] == "scrypt", let salt = Data(base64Encoded: String(parts[2])),
            let hash = Data(base64Encoded: String(parts[3])), hash.count == 32
        else { return nil }
        var numbers: [Substring: Int] = [:]
        for pair in parts[1].split(separator: ",") {
            let sides = pair.split(separator: "=")
            guard sides.count == 2, let number = Int(sides[1]) else { return nil }
            numbers[sides[0]] = number
        }
        guard let rounds = numbers["ln"], (1...24).contains(rounds), let block = numbers["r"], (1...32).contains(block),
            let parallelism = numbers["p"], (1...16).contains(parallelism)
        else { return nil }
        var cost = Cost(log2Rounds: rounds)
        cost.blockSize = block
        cost.parallelism = parallelism
        return (cost, Array(salt), Array(hash))
    }
}
