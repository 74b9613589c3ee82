public import ApusCore
import Crypto
import CryptoExtras
import FoundationEssentials
import Synchronization

/// A password hasher that uses scrypt (RFC 7914). Hashes are strings in PHC format: `$scrypt$ln=17,r=8,p=1$salt$hash`.
///
/// Hashing deliberately takes a tenth of a second and 128 MiB. It runs on a small number of dedicated threads, with a
/// bounded queue.
public final class ScryptPasswordHasher: PasswordHasher {
    /// The cost parameters of a hash.
    public struct Cost: Sendable, Equatable {
        /// The binary logarithm of the number of iterations (N). 17 by default, as recommended by OWASP; decreasing it
        /// by one halves time and memory.
        public var log2Rounds = 17
        /// The block size (r). 8 by default.
        public var blockSize = 8
        /// The parallelism (p). 1 by default.
        public var parallelism = 1

        /// Creates cost parameters.
        public init(log2Rounds: Int = 17) { self.log2Rounds = log2Rounds }

        /// The amount of work, to which the time of one hash is proportional.
        var work: Int { (1 << log2Rounds) * blockSize * parallelism }
    }

    private let cost: Cost
    private let pool: BlockingPool
    /// The maximum work of the hashes seen so far. All other verifications are extended to take as long.
    private let maximumWork: Mutex<Int>
    /// The hash that passwords of nonexistent accounts are compared with.
    private let dummyHash: String

    /// Creates a hasher and starts its threads.
    /// - Parameters:
    ///   - cost: The cost of new hashes. Existing hashes are verified with their own.
    ///   - threads: The number of threads, and so of concurrent computations. 2 by default.
    ///   - queueLimit: The maximum number of queued computations. 64 by default.
    public init(cost: Cost = Cost(), threads: Int = 2, queueLimit: Int = 64) {
        self.cost = cost
        maximumWork = Mutex(cost.work)
        pool = BlockingPool(name: "apus.password", threads: threads, maximumWaiting: queueLimit)
        dummyHash = Self.encode(cost, salt: Self.randomBytes(16), hash: Self.randomBytes(32))
    }

    public func hash(_ password: Secret<String>) async throws -> String {
        let cost = cost
        return try await pool.run {
            let salt = Self.randomBytes(16)
            return Self.encode(cost, salt: salt, hash: try Self.derive(password, salt, cost))
        }
    }

    public func verify(_ password: Secret<String>, against hash: String?) async throws -> Bool {
        guard let stored = Self.decode(hash ?? dummyHash) else {
            throw AppError(.internal, "A stored password hash is malformed.")
        }
        let work = maximumWork.withLock { work in
            work = max(work, stored.cost.work)
            return work
        }
        let isMatch = try await pool.run {
            let isMatch = constantTimeEqual(try Self.derive(password, stored.salt, stored.cost), stored.hash)
            // After the cost was changed, the shorter time of an older, cheaper hash would reveal that the account
            // exists.
            for padding in Self.costs(totaling: work - stored.cost.work) {
                _ = try Self.derive(password, stored.salt, padding)
            }
            return isMatch
        }
        return isMatch && hash != nil
    }

    public func needsRehash(_ hash: String) -> Bool { Self.decode(hash).map { $0.cost != cost } ?? true }

    /// Returns costs whose combined work is a given amount, rounded down to a multiple of the smallest cost.
    static func costs(totaling work: Int) -> [Cost] {
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
        let parts = text.split(at: "$")
        guard parts.count == 4, parts[0] == "scrypt", let salt = Data(base64Encoded: String(parts[2])),
            let hash = Data(base64Encoded: String(parts[3])), hash.count == 32
        else { return nil }
        var numbers: [Substring: Int] = [:]
        for pair in parts[1].split(at: ",") {
            let sides = pair.split(at: "=")
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
