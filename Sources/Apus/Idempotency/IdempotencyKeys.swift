public import ApusCore
public import ApusData
public import ApusHTTP
import ApusJSON
import Crypto
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization

/// Makes retries safe (draft-ietf-httpapi-idempotency-key-header-07): a request with an `Idempotency-Key` runs once,
/// and a retry receives the stored response.
///
/// The middleware claims the key, runs the handler and records its response; it holds no transaction open meanwhile.
/// Each transaction of the handler also marks the key as committed, so that nothing is executed twice after a crash:
///
/// - A request that committed nothing, because it failed or its process died, may be retried with the same key.
/// - A request that committed something and failed: every retry receives its error.
/// - A request that committed something and whose process died before the response was recorded: every retry receives
///   409 with the reason `IDEMPOTENCY_KEY_INTERRUPTED`, and the client must look up the outcome.
///
/// A handler that records its response in its own transaction with ``record(_:)`` closes this gap:
///
/// ```swift
/// try await unitOfWork.perform {
///     let order = try await orders.place(request, for: customer)
///     return try await IdempotencyKeys.record(Created(OrderView(order), at: "/v1/orders/\(order.id)"))
/// }
/// ```
///
/// A malformed key is rejected with 400, a key whose first request is still running with 409, and a key that was used
/// for a different request with 422. A key belongs to its caller: to the principal, or else to the session of the
/// request. A request with neither is rejected with 400. List the middleware after the one that determines the caller:
///
/// ```swift
/// routes.group("v1/orders", Authenticated(Customer.self), IdempotencyKeys(database)) { routes in … }
/// routes.group("cart", sessions, IdempotencyKeys(database)) { routes in … }
/// ```
///
/// Header fields for a single caller, such as `Set-Cookie`, are not stored. Around `Sessions`, the middleware does not see
/// the session, and a retry does not receive the cookie of a session that the first request began.
/// ``CreateIdempotencyKeys`` creates the table.
public struct IdempotencyKeys: Middleware {
    private let store: IdempotencyStore
    private let isRequired: Bool

    /// Creates the middleware.
    /// - Parameters:
    ///   - isRequired: Whether to reject a request without a key with 400.
    ///   - lifetime: How long a response is stored. 24 hours.
    ///   - lease: How long a claim outlives its process. 10 seconds. It is renewed after a third of it while the handler
    ///     runs.
    public init(
        _ database: any Database, isRequired: Bool = false, lifetime: Duration = .seconds(24 * 3600),
        lease: Duration = .seconds(10), clock: any WallClock = SystemClock()
    ) {
        store = IdempotencyStore(database: database, lifetime: lifetime, lease: lease, clock: clock)
        self.isRequired = isRequired
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        guard Self.isUnsafe(request.method) else { return await next(request) }
        guard let field = request.headers[.idempotencyKey] else {
            guard !isRequired else {
                throw AppError(.invalidArgument, "The Idempotency-Key header is required for this request.")
            }
            return await next(request)
        }
        let key = IdempotencyStore.Key(scope: try Self.scope(request), name: try Self.parse(field))
        guard request.body.limit < .max else {
            throw AppError(
                .invalidArgument, "An Idempotency-Key is not supported for a request stream of unlimited length.")
        }
        var request = request
        let body = try await request.body.collect()
        request.body = request.body.replaced(by: body)
        switch try await store.claim(key, Self.fingerprint(request, body)) {
        case .recorded(let response): return response
        case .claimed(let claim): return try await run(request, key, claim, next)
        }
    }

    /// Runs the handler under a claim, and records its response.
    private func run(
        _ request: Request, _ key: IdempotencyStore.Key, _ claim: IdempotencyStore.Claim, _ next: Next
    ) async throws -> Response {
        let hook = store.commitHook(key, claim)
        let keyed = KeyedRequest(request, key, claim, store)
        let response = await withRenewal(of: claim, key) {
            await KeyedRequest.$current.withValue(keyed) { await hook.accompany { await next(request) } }
        }
        if let recorded = keyed.recorded, response.error == nil, try store.isSame(response, recorded) {
            return response
        }
        let requestID = request.context.id
        // In a separate task, so that it is recorded even if the client has disconnected, which cancels this task.
        return try await Task { [store] in
            try await store.record(response, requestID: requestID, key, claim)
        }.value
    }

    /// Records the response to the current request in the current transaction, so that the changes and the response are
    /// committed together. Does nothing if the request has no key.
    /// - Returns: The output, for the handler to return.
    /// - Throws: An `AppError` of code `aborted` if another process has taken over the request; the transaction must
    ///   not commit.
    @discardableResult
    public static func record<Output: ResponseConvertible>(_ output: Output) async throws -> Output {
        guard let keyed = KeyedRequest.current else { return output }
        let response = try output.response(to: keyed.request)
        guard try await keyed.store.write(response, keyed.key, keyed.claim) else { throw IdempotencyStore.inUse }
        UnitOfWork.afterCommit(of: keyed.store.database) { keyed.setRecorded(response) }
        return output
    }

    /// Renews a claim while a closure runs.
    private func withRenewal(
        of claim: IdempotencyStore.Claim, _ key: IdempotencyStore.Key, _ body: () async -> Response
    ) async -> Response {
        let renewal = Task.immediate { [store] in await store.keepAlive(key, claim) }
        defer { renewal.cancel() }
        return await body()
    }

    public func describe(_ operation: inout OpenAPI.Operation) {
        guard Self.isUnsafe(operation.method) else { return }
        operation.parameters.append(
            .init(
                "Idempotency-Key", in: .header, isRequired: isRequired,
                schema: .literal(["type": "string", "pattern": .string(Self.pattern)]),
                description: "A unique key chosen by the client. Requests with the same key run only once."))
        operation.addErrorResponse(.badRequest, "The Idempotency-Key is malformed.")
        operation.addErrorResponse(
            .conflict, "The request with this Idempotency-Key is still running, or was interrupted.")
        operation.addErrorResponse(.unprocessableContent, "The Idempotency-Key was used for a different request.")
        operation.addErrorResponse(.contentTooLarge, "The body is too large.")
    }

    /// A string with or without quotes. Leading and trailing spaces are not allowed, because HTTP strips them.
    private static let pattern = #"^("[!#-~]([ !#-~]{0,253}[!#-~])?"|[!#-~]([ !#-~]{0,253}[!#-~])?)$"#

    private static func isUnsafe(_ method: HTTPRequest.Method) -> Bool {
        switch method {
        case .post, .patch, .put, .delete: true
        default: false
        }
    }

    /// Parses a string as in RFC 8941 §3.3.3, or without quotes, of 1 to 255 printable ASCII characters.
    static func parse(_ field: String) throws -> String {
        let quote = UInt8(ascii: "\"")
        var key = Substring(field).utf8
        if key.count >= 2, key.first == quote, key.last == quote { key = key.dropFirst().dropLast() }
        let isValid = (1...255).contains(key.count) && key.allSatisfy { (0x20...0x7E).contains($0) && $0 != quote }
        // A leading or trailing space survives only in quotes, so that one key would become two. It is rejected.
        guard isValid, key.first != 0x20, key.last != 0x20 else {
            throw AppError(
                .invalidArgument,
                "An Idempotency-Key must be 1 to 255 printable ASCII characters, with or without quotes, and must not start or end with a space."
            )
        }
        return String(Substring(key))
    }

    /// Returns the scope of a key: the caller, the method and the path. As in the router, a trailing slash is ignored.
    private static func scope(_ request: Request) throws -> String {
        var path = request.path
        if path.utf8.last == UInt8(ascii: "/") { path = path[..<path.utf8.index(before: path.endIndex)] }
        let caller: String
        if let principal = request.context.principal {
            caller = "principal:\(principal.subject)"
        } else if let session = request.sessionID {
            caller = "session:\(session)"
        } else {
            throw AppError(
                .invalidArgument,
                "An Idempotency-Key requires an authenticated caller or a session, and this request has neither.")
        }
        return "\(caller) \(request.method.rawValue) \(path)"
    }

    private static func fingerprint(_ request: Request, _ body: ByteBuffer) -> [UInt8] {
        var hash = SHA256()
        for text in [request.rawQuery.map(String.init) ?? "", request.headers[.contentType] ?? ""] {
            hash.update(data: Data(text.utf8))
            hash.update(data: [0])
        }
        body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }
}

/// The current task's request with a key.
private final class KeyedRequest: Sendable {
    @TaskLocal static var current: KeyedRequest?

    let request: Request
    let key: IdempotencyStore.Key
    let claim: IdempotencyStore.Claim
    let store: IdempotencyStore
    private let committed = Mutex<Response?>(nil)

    init(
        _ request: Request, _ key: IdempotencyStore.Key, _ claim: IdempotencyStore.Claim, _ store: IdempotencyStore
    ) {
        self.request = request
        self.key = key
        self.claim = claim
        self.store = store
    }

    /// The response that a transaction of the handler has recorded.
    var recorded: Response? { committed.withLock { $0 } }

    func setRecorded(_ response: Response) { committed.withLock { $0 = response } }
}

extension HTTPField.Name {
    fileprivate static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
}
