public import ApusCore
public import ApusData
public import ApusHTTP
import ApusJSON
import Crypto
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization

/// Makes repeated requests safe (draft-ietf-httpapi-idempotency-key-header-07): a request with an `Idempotency-Key` is
/// done once, and whoever repeats it receives the stored response.
///
/// The handler runs in a transaction of the database, and its response is stored in the same one: after a crash either
/// both are there or neither. An error is not stored, so the request may be repeated with the same key.
///
/// A malformed key is answered 400; a key that comes back while its request is still being done, 409; one that comes back
/// with another request, 422. The table is ``CreateIdempotencyKeys``.
public struct IdempotencyKeys: Middleware {
    private let database: any Database
    private let isRequired: Bool
    private let lifetime: Duration
    private let clock: any WallClock
    private let inProgress = InProgress()

    /// - Parameters:
    ///   - isRequired: Whether a request without a key is refused with 400.
    ///   - lifetime: How long a response is kept. 24 hours.
    public init(
        _ database: any Database, isRequired: Bool = false, lifetime: Duration = .seconds(24 * 3600),
        clock: any WallClock = SystemClock()
    ) {
        self.database = database
        self.isRequired = isRequired
        self.lifetime = lifetime
        self.clock = clock
    }

    public func handle(_ request: Request, next: Handler) async throws -> Response {
        guard Self.changesSomething(request.method) else { return try await next(request) }
        guard let field = request.headers[.idempotencyKey] else {
            guard !isRequired else { throw AppError(.invalidArgument, "The Idempotency-Key field is required here.") }
            return try await next(request)
        }
        let key = try Self.parse(field)
        guard request.body.limit < .max else {
            throw AppError(.invalidArgument, "A stream without an end cannot be repeated by an Idempotency-Key.")
        }
        var request = request
        let body = try await request.body.collect()
        request.body = request.body.replaced(by: body)
        let scope = Self.scope(request)
        let fingerprint = Self.fingerprint(request.rawQuery, body)
        guard inProgress.begin(scope, key) else { throw Self.isInProgress }
        defer { inProgress.end(scope, key) }
        return try await database.transaction {
            try await database.execute(
                "DELETE FROM apus_idempotency_keys WHERE created_at < \(clock.now.addingTimeInterval(-lifetime.seconds))"
            )
            if let stored = try await stored(scope, key) {
                guard stored.fingerprint == fingerprint else {
                    throw AppError(
                        .invalidArgument, "This Idempotency-Key was used for another request.",
                        reason: .idempotencyKeyReused)
                }
                return stored.response
            }
            let response = try await next(request)
            try await store(response, scope, key, fingerprint)
            return response
        }
    }

    private static var isInProgress: AppError {
        AppError(
            .aborted, "The request with this Idempotency-Key is still being done.",
            reason: .idempotencyKeyInUse, retryAfter: .seconds(1))
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        guard Self.changesSomething(operation.method) else { return }
        operation.parameters.append(
            .init(
                "Idempotency-Key", in: .header, isRequired: isRequired,
                schema: .literal(["type": "string", "pattern": .string(Self.pattern)]),
                description: "Chosen by the client: a repeated request with it is done once, and answered alike."))
        operation.mayFail(.badRequest, "The Idempotency-Key is malformed.")
        operation.mayFail(.conflict, "The request with this Idempotency-Key is still being done.")
        operation.mayFail(.unprocessableContent, "The Idempotency-Key was used for another request.")
    }

    /// A string in quotes, or the same without them. Blanks at the ends would not arrive.
    private static let pattern = #"^("[!#-~]([ !#-~]{0,253}[!#-~])?"|[!#-~]([ !#-~]{0,253}[!#-~])?)$"#

    private static func changesSomething(_ method: HTTPRequest.Method) -> Bool {
        switch method {
        case .post, .patch, .put, .delete: true
        default: false
        }
    }

    /// A string of RFC 8941 §3.3.3, or the same without quotes; 1 to 255 printable ASCII characters.
    static func parse(_ field: String) throws -> String {
        let isQuoted = field.count >= 2 && field.hasPrefix("\"") && field.hasSuffix("\"")
        let key = isQuoted ? String(field.dropFirst().dropLast()) : field
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != 0x22 })
        else {
            throw AppError(
                .invalidArgument,
                "An Idempotency-Key must be 1 to 255 printable ASCII characters, in quotes or without.")
        }
        return key
    }

    /// Who asks for what: a key is known within it alone. The trailing slash does not matter to the router either.
    private static func scope(_ request: Request) -> String {
        let path = request.path.hasSuffix("/") ? request.path.dropLast() : request.path
        return "\(request.context.principal?.subject ?? "") \(request.method.rawValue) \(path)"
    }

    private static func fingerprint(_ query: Substring?, _ body: ByteBuffer) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: Data((query ?? "").utf8))
        hash.update(data: [0])
        hash.update(data: Data(body.readableBytesView))
        return Array(hash.finalize())
    }

    private func stored(_ scope: String, _ key: String) async throws -> (fingerprint: [UInt8], response: Response)? {
        let rows = try await database.query(
            """
            SELECT fingerprint, status, headers, body FROM apus_idempotency_keys
            WHERE scope = \(scope) AND idempotency_key = \(key)
            """)
        guard let row = rows.first else { return nil }
        let fields = Data(try row.get("headers", as: String.self).utf8)
        var response = Response(status: .init(code: try row.get("status")))
        if let both = try? JSONDecoder().decode([HTTPFields].self, from: fields), both.count == 2 {
            response.headers = both[0]
            response.delivery = .trailers(both[1])
        } else {
            response.headers = try JSONDecoder().decode(HTTPFields.self, from: fields)
        }
        let body = try row.get("body", as: [UInt8].self)
        if !body.isEmpty { response.body = .bytes(ByteBuffer(bytes: body)) }
        return (try row.get("fingerprint"), response)
    }

    private func store(_ response: Response, _ scope: String, _ key: String, _ fingerprint: [UInt8]) async throws {
        guard let body = response.body.buffer.map({ Array($0.readableBytesView) }) else {
            throw AppError(
                .internal, "A streamed response cannot be repeated; the route must not be behind IdempotencyKeys.")
        }
        // Those after the body, where there are such, with those before it.
        let fields =
            if let trailers = response.trailers {
                try JSONEncoder().encode([response.headers, trailers])
            } else {
                try JSONEncoder().encode(response.headers)
            }
        let headers = String(decoding: fields, as: UTF8.self)
        do {
            try await database.execute(
                """
                INSERT INTO apus_idempotency_keys (scope, idempotency_key, fingerprint, status, headers, body, created_at)
                VALUES (\(scope), \(key), \(fingerprint), \(response.status.code), \(headers), \(body), \(clock.now))
                """)
        } catch let error as AppError where error.code == .alreadyExists {
            // Another process was faster; all that was done here is undone with the transaction.
            throw Self.isInProgress
        }
    }
}

/// The requests that this process is at.
private final class InProgress: Sendable {
    private let keys = Mutex<Set<[String]>>([])

    /// - Returns: Whether it was not begun before.
    func begin(_ scope: String, _ key: String) -> Bool { keys.withLock { $0.insert([scope, key]).inserted } }

    func end(_ scope: String, _ key: String) { keys.withLock { _ = $0.remove([scope, key]) } }
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
            status INTEGER NOT NULL,
            headers TEXT NOT NULL,
            body BLOB NOT NULL,
            created_at BIGINT NOT NULL,
            PRIMARY KEY (scope, idempotency_key)
        )
        """,
        "CREATE INDEX apus_idempotency_keys_created_at ON apus_idempotency_keys (created_at)",
    ]
}

extension HTTPField.Name {
    fileprivate static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
}
