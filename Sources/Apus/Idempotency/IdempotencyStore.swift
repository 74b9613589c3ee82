import ApusCore
public import ApusData
import ApusHTTP
import ApusJSON
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization

/// The SQL statements of ``IdempotencyKeys``. Every statement after the claim checks it, so that a request that has
/// lost its claim changes nothing.
struct IdempotencyStore: Sendable {
    struct Key: Sendable {
        let scope: String
        let name: String
    }

    /// The unique id of one attempt at a request.
    typealias Claim = Identifier<IdempotencyStore>

    enum Outcome {
        /// The key was claimed; the request has to run.
        case claimed(Claim)
        /// The request ran before and received this response.
        case recorded(Response)
    }

    /// The uptime at which expired records were last deleted.
    private final class LastCleanup: Sendable {
        let time = Mutex<Duration?>(nil)
    }

    let database: any Database
    let lifetime: Duration
    let lease: Duration
    let clock: any WallClock
    private let lastCleanup = LastCleanup()

    init(database: any Database, lifetime: Duration, lease: Duration, clock: any WallClock) {
        self.database = database
        self.lifetime = lifetime
        self.lease = lease
        self.clock = clock
    }

    // MARK: Claiming

    /// The maximum number of attempts to claim a key that others claim and release at the same time.
    private static let maximumAttempts = 8

    /// Claims a key.
    /// - Throws: An `AppError` if its request is still running, was interrupted, or was a different one.
    func claim(_ key: Key, _ fingerprint: [UInt8]) async throws -> Outcome {
        try await deleteExpired()
        for _ in 0..<Self.maximumAttempts {
            let claim = Claim()
            if try await insert(key, claim, fingerprint) { return .claimed(claim) }
            guard let record = try await record(of: key) else { continue }
            guard record.fingerprint == fingerprint else {
                throw AppError(
                    .invalidArgument, "This Idempotency-Key was used for a different request.",
                    reason: .idempotencyKeyReused)
            }
            if let response = record.response { return .recorded(response) }
            guard record.claimedUntil <= clock.now else { break }
            guard !record.isCommitted else { throw Self.interrupted }
            if try await takeOver(key, from: record.claim, claim) { return .claimed(claim) }
        }
        throw Self.inUse
    }

    static var inUse: AppError {
        AppError(
            .aborted, "The request with this Idempotency-Key is still running.", reason: .idempotencyKeyInUse,
            retryAfter: .seconds(1))
    }

    private static var interrupted: AppError {
        AppError(
            .aborted,
            "The request with this Idempotency-Key was interrupted after it had committed changes. Its response was lost.",
            reason: .idempotencyKeyInterrupted)
    }

    private func insert(_ key: Key, _ claim: Claim, _ fingerprint: [UInt8]) async throws -> Bool {
        let now = clock.now
        return try await database.execute(
            """
            INSERT INTO apus_idempotency_keys
                (scope, idempotency_key, fingerprint, claim, claimed_until, is_committed, created_at)
            VALUES (\(key.scope), \(key.name), \(fingerprint), \(claim), \(now.addingTimeInterval(lease.seconds)), 0, \(now))
            ON CONFLICT (scope, idempotency_key) DO NOTHING
            """) > 0
    }

    /// Takes over the claim of a process that died.
    private func takeOver(_ key: Key, from old: Claim, _ claim: Claim) async throws -> Bool {
        let until = clock.now.addingTimeInterval(lease.seconds)
        return try await database.execute(
            """
            UPDATE apus_idempotency_keys SET claim = \(claim), claimed_until = \(until)
            WHERE \(isHeld(key, by: old)) AND is_committed = 0 AND status IS NULL
            """) > 0
    }

    /// The condition that selects the record of a key while a claim holds it.
    private func isHeld(_ key: Key, by claim: Claim) -> SQL {
        "scope = \(key.scope) AND idempotency_key = \(key.name) AND claim = \(claim)"
    }

    // MARK: While the request runs

    /// Renews a claim until the task is cancelled.
    func keepAlive(_ key: Key, _ claim: Claim) async {
        while (try? await clock.sleep(for: lease / 3)) != nil {
            let until = clock.now.addingTimeInterval(lease.seconds)
            // A failed renewal is retried before the lease expires.
            _ = try? await database.execute(
                "UPDATE apus_idempotency_keys SET claimed_until = \(until) WHERE \(isHeld(key, by: claim))")
        }
    }

    /// Records in each transaction of the handler that it has committed something.
    ///
    /// It throws an `AppError` of code `aborted` if another process has taken over the claim; the transaction must not
    /// commit.
    func commitHook(_ key: Key, _ claim: Claim) -> CommitHook {
        CommitHook(
            database,
            statement: "UPDATE apus_idempotency_keys SET is_committed = 1 WHERE \(isHeld(key, by: claim))"
        ) { rows in
            guard rows > 0 else { throw Self.inUse }
        }
    }

    // MARK: Recording

    /// Records the response to a request. After an error of a request that committed nothing, the key is released
    /// instead.
    /// - Returns: The response to send.
    func record(_ response: Response, requestID: String, _ key: Key, _ claim: Claim) async throws -> Response {
        if response.error != nil {
            let isReleased =
                try await database.execute(
                    "DELETE FROM apus_idempotency_keys WHERE \(isHeld(key, by: claim)) AND is_committed = 0") > 0
            if isReleased { return response }
        }
        try await write(response.rendered(requestID: requestID), key, claim)
        return response
    }

    /// Stores a response.
    /// - Returns: Whether this request still held its claim.
    @discardableResult
    func write(_ recorded: Response, _ key: Key, _ claim: Claim) async throws -> Bool {
        guard let body = recorded.body.buffer else {
            throw AppError(
                .internal, "A streamed response cannot be stored; remove IdempotencyKeys from this route.")
        }
        return try await database.execute(
            """
            UPDATE apus_idempotency_keys
            SET status = \(recorded.status.code), headers = \(try Self.encoded(recorded)),
                body = \(Array(body.readableBytesView)), claimed_until = NULL
            WHERE \(isHeld(key, by: claim))
            """) > 0
    }

    /// Whether two responses are stored in the same way.
    func isSame(_ response: Response, _ other: Response) throws -> Bool {
        guard response.status == other.status, let body = response.body.buffer, body == other.body.buffer else {
            return false
        }
        return try Self.encoded(response) == Self.encoded(other)
    }

    /// Header fields that apply to a single caller or response. A repeated response gets its own.
    private static let excludedFields: Set<String> = [
        "access-control-allow-credentials", "access-control-allow-origin", "access-control-expose-headers",
        "authentication-info", "date", "proxy-authenticate", "proxy-authentication-info", "ratelimit",
        "ratelimit-limit", "ratelimit-policy", "ratelimit-remaining",
        "ratelimit-reset", "set-cookie", "www-authenticate", "x-request-id",
    ]

    /// Encodes the header fields, and the trailer fields if there are any.
    private static func encoded(_ response: Response) throws -> String {
        let all = [response.headers] + (response.trailers.map { [$0] } ?? [])
        let stored = all.map { fields in fields.filter { !excludedFields.contains($0.name.canonicalName) } }
        return String(buffer: try JSONCoding.encode(stored))
    }

    private struct Record {
        let fingerprint: [UInt8]
        let claim: Claim
        let claimedUntil: Date
        let isCommitted: Bool
        let response: Response?
    }

    private func record(of key: Key) async throws -> Record? {
        let rows = try await database.query(
            """
            SELECT fingerprint, claim, claimed_until, is_committed, status, headers, body FROM apus_idempotency_keys
            WHERE scope = \(key.scope) AND idempotency_key = \(key.name)
            """)
        return try rows.first.map { row in
            Record(
                fingerprint: try row.get("fingerprint"), claim: try row.get("claim"),
                claimedUntil: try row.get("claimed_until", as: Date?.self) ?? .distantFuture,
                isCommitted: try row.get("is_committed"), response: try response(of: row))
        }
    }

    private func response(of row: Row) throws -> Response? {
        guard let status = try row.get("status", as: Int?.self) else { return nil }
        let headers = try row.get("headers", as: String.self)
        let fields = try JSON.Decoder.standard.decode([[HTTPField]].self, from: headers.utf8).map { HTTPFields($0) }
        var response = Response(status: .init(code: status), headers: fields.first ?? [:])
        if fields.count > 1 { response.delivery = .trailers(fields[1]) }
        let body = try row.get("body", as: [UInt8].self)
        if !body.isEmpty { response.body = .bytes(ByteBuffer(bytes: body)) }
        return response
    }

    /// Deletes expired records, at most once a minute. Several processes may do so at the same time, and must not wait
    /// for each other.
    private func deleteExpired() async throws {
        let uptime = clock.uptime
        let isTime = lastCleanup.time.withLock { last in
            if let last, uptime - last < .seconds(60) { return false }
            last = uptime
            return true
        }
        guard isTime else { return }
        let oldest = clock.now.addingTimeInterval(-lifetime.seconds)
        try await database.execute(
            """
            DELETE FROM apus_idempotency_keys WHERE (scope, idempotency_key) IN (
                SELECT scope, idempotency_key FROM apus_idempotency_keys
                WHERE created_at < \(oldest) AND (claimed_until IS NULL OR claimed_until < \(clock.now))
                \(SQL.rowLockSkippingLocked)
            )
            """)
    }
}

/// The migration that creates the table of ``IdempotencyKeys``. Add it to the migrations of the module that uses the
/// middleware.
public enum CreateIdempotencyKeys: Migration {
    public static let id = "apus-0002-idempotency-keys"
    public static let statements: [SQL] = [
        """
        CREATE TABLE apus_idempotency_keys (
            scope TEXT NOT NULL,
            idempotency_key TEXT NOT NULL,
            fingerprint \(type: .bytes) NOT NULL,
            claim TEXT NOT NULL,
            claimed_until \(type: .timestamp),
            is_committed INTEGER NOT NULL,
            status INTEGER,
            headers TEXT,
            body \(type: .bytes),
            created_at \(type: .timestamp) NOT NULL,
            PRIMARY KEY (scope, idempotency_key)
        )\(SQL.strict)
        """,
        "CREATE INDEX apus_idempotency_keys_created_at ON apus_idempotency_keys (created_at)",
    ]
    public static let undo: [SQL] = ["DROP TABLE apus_idempotency_keys"]
}
