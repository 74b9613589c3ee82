import ApusCore
public import ApusData
import ApusHTTP
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization

/// The statements of ``IdempotencyKeys``. Every step after the claim names it, so that a request which has lost its claim
/// changes nothing.
struct IdempotencyStore: Sendable {
    struct Key: Sendable {
        let scope: String
        let name: String
    }

    /// What tells one attempt at a request from every other.
    typealias Claim = Identifier<IdempotencyStore>

    enum Outcome {
        /// The request is this one's to run.
        case claimed(Claim)
        /// It was run before, and answered so.
        case recorded(Response)
    }

    /// When records were last deleted.
    private final class CleaningTime: Sendable {
        let time = Mutex<Duration?>(nil)
    }

    let database: any Database
    let lifetime: Duration
    let lease: Duration
    let clock: any WallClock
    private let lastCleaning = CleaningTime()

    init(database: any Database, lifetime: Duration, lease: Duration, clock: any WallClock) {
        self.database = database
        self.lifetime = lifetime
        self.lease = lease
        self.clock = clock
    }

    // MARK: Claiming

    /// How often a key that others claim and release at the same time is tried.
    private static let maximumAttempts = 8

    /// Claims a key.
    /// - Throws: An `AppError` when its request is running, was interrupted, or was another one.
    func claim(_ key: Key, _ fingerprint: [UInt8]) async throws -> Outcome {
        try await deleteExpired()
        for _ in 0..<Self.maximumAttempts {
            let claim = Claim()
            if try await insert(key, claim, fingerprint) { return .claimed(claim) }
            guard let record = try await record(of: key) else { continue }
            guard record.fingerprint == fingerprint else {
                throw AppError(
                    .invalidArgument, "This Idempotency-Key was used for another request.",
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
            "The request with this Idempotency-Key was interrupted after it had changed something, and its response is lost.",
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
            WHERE \(own(key, old)) AND is_committed = 0 AND status IS NULL
            """) > 0
    }

    private func own(_ key: Key, _ claim: Claim) -> SQL {
        "scope = \(key.scope) AND idempotency_key = \(key.name) AND claim = \(claim)"
    }

    // MARK: While the request runs

    /// Renews a claim until the task is cancelled.
    func keepAlive(_ key: Key, _ claim: Claim) async {
        while (try? await clock.sleep(for: lease / 3)) != nil {
            let until = clock.now.addingTimeInterval(lease.seconds)
            // A renewal that fails is tried again in time.
            _ = try? await database.execute(
                "UPDATE apus_idempotency_keys SET claimed_until = \(until) WHERE \(own(key, claim))")
        }
    }

    /// Notes, in a transaction of the handler, that it has committed something.
    /// - Throws: An `AppError` of code `aborted` when another process has taken over the claim: the transaction must not commit.
    func noteCommit(_ key: Key, _ claim: Claim) async throws {
        let count = try await database.execute(
            "UPDATE apus_idempotency_keys SET is_committed = 1 WHERE \(own(key, claim))")
        guard count > 0 else { throw Self.inUse }
    }

    // MARK: Recording

    /// Records what a request was answered. An error of a request that committed nothing is not recorded: its key is free again.
    /// - Returns: The response to send.
    func record(_ response: Response, requestID: String, _ key: Key, _ claim: Claim) async throws -> Response {
        if response.error != nil {
            let isReleased =
                try await database.execute(
                    "DELETE FROM apus_idempotency_keys WHERE \(own(key, claim)) AND is_committed = 0") > 0
            if isReleased { return response }
        }
        try await write(response.rendered(requestID: requestID), key, claim)
        return response
    }

    /// - Returns: Whether the claim was still this request's.
    @discardableResult
    func write(_ recorded: Response, _ key: Key, _ claim: Claim) async throws -> Bool {
        guard let body = recorded.body.buffer else {
            throw AppError(
                .internal, "A streamed response cannot be repeated; the route must not be behind IdempotencyKeys.")
        }
        return try await database.execute(
            """
            UPDATE apus_idempotency_keys
            SET status = \(recorded.status.code), headers = \(try Self.encoded(recorded)),
                body = \(Array(body.readableBytesView)), claimed_until = NULL
            WHERE \(own(key, claim))
            """) > 0
    }

    /// Fields for one caller alone, or for one response: whoever is answered again gets their own.
    private static let excludedFields: Set<String> = [
        "access-control-allow-credentials", "access-control-allow-origin", "access-control-expose-headers",
        "authentication-info", "date", "ratelimit", "ratelimit-limit", "ratelimit-policy", "ratelimit-remaining",
        "ratelimit-reset", "set-cookie", "www-authenticate", "x-request-id",
    ]

    /// The header fields, and those after the body where there are such.
    private static func encoded(_ response: Response) throws -> String {
        let all = [response.headers] + (response.trailers.map { [$0] } ?? [])
        let kept = all.map { fields in fields.filter { !excludedFields.contains($0.name.canonicalName) } }
        return String(buffer: try JSONCoding.encode(kept))
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
        let fields = try JSONCoding.decode([[HTTPField]].self, from: headers.utf8).map { HTTPFields($0) }
        var response = Response(status: .init(code: status), headers: fields.first ?? [:])
        if fields.count > 1 { response.delivery = .trailers(fields[1]) }
        let body = try row.get("body", as: [UInt8].self)
        if !body.isEmpty { response.body = .bytes(ByteBuffer(bytes: body)) }
        return response
    }

    /// Now and then, deletes records past their lifetime.
    private func deleteExpired() async throws {
        let uptime = clock.uptime
        let isTime = lastCleaning.time.withLock { last in
            if let last, uptime - last < .seconds(60) { return false }
            last = uptime
            return true
        }
        guard isTime else { return }
        let oldest = clock.now.addingTimeInterval(-lifetime.seconds)
        try await database.execute(
            """
            DELETE FROM apus_idempotency_keys
            WHERE created_at < \(oldest) AND (claimed_until IS NULL OR claimed_until < \(clock.now))
            """)
    }
}

/// The table of ``IdempotencyKeys``. Add it to the migrations of the module that uses the middleware.
public enum CreateIdempotencyKeys: Migration {
    public static let id = "apus-0002-idempotency-keys"
    public static let statements: [SQL] = [
        """
        CREATE TABLE apus_idempotency_keys (
            scope TEXT NOT NULL,
            idempotency_key TEXT NOT NULL,
            fingerprint BLOB NOT NULL,
            claim TEXT NOT NULL,
            claimed_until BIGINT,
            is_committed INTEGER NOT NULL,
            status INTEGER,
            headers TEXT,
            body BLOB,
            created_at BIGINT NOT NULL,
            PRIMARY KEY (scope, idempotency_key)
        )
        """,
        "CREATE INDEX apus_idempotency_keys_created_at ON apus_idempotency_keys (created_at)",
    ]
}
