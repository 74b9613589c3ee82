public import ApusCore
public import ApusData
public import ApusHTTP
import ApusJSON
import Crypto
import FoundationEssentials
import HTTPTypes
import NIOCore

/// Makes repeated requests safe (draft-ietf-httpapi-idempotency-key-header-07): a request with an `Idempotency-Key` is
/// run once, and a repeated one receives the stored response.
///
/// The key is claimed, the handler runs, and its response is recorded; no transaction is open meanwhile. What the handler
/// commits to the database is committed together with a note of it under the key, so after a crash nothing is done twice:
///
/// - A request that committed nothing, because it failed or its process died, may be repeated with the same key.
/// - One that committed something and failed is answered with its error from then on.
/// - One that committed something and whose process died before the response was recorded is answered 409 with the reason
///   `IDEMPOTENCY_KEY_INTERRUPTED`: look up what it has done.
///
/// A handler that records its answer in its own transaction, by ``record(_:)``, leaves no such gap:
///
/// ```swift
/// try await unitOfWork.perform {
///     let order = try await orders.place(request, for: customer)
///     return try await IdempotencyKeys.record(Created(OrderView(order), at: "/v1/orders/\(order.id)"))
/// }
/// ```
///
/// A malformed key is answered 400; a key that comes back while its request is running, 409; one that comes back with another
/// request, 422. A key belongs to a caller: to the principal, or else to the session that the request came with. A caller
/// that has neither is refused with 400. List the middleware behind what finds them out:
///
/// ```swift
/// routes.group("v1/orders", Authenticated(Customer.self), IdempotencyKeys(database)) { routes in … }
/// ```
///
/// Fields that are for one caller, such as `Set-Cookie`, are not stored. The table is ``CreateIdempotencyKeys``.
public struct IdempotencyKeys: Middleware {
    private let store: IdempotencyStore
    private let isRequired: Bool

    /// - Parameters:
    ///   - isRequired: Whether a request without a key is refused with 400.
    ///   - lifetime: How long a response is kept. 24 hours.
    ///   - lease: How long a claim outlives its process. 10 seconds; renewed at a third of it while the handler runs.
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
            guard !isRequired else { throw AppError(.invalidArgument, "The Idempotency-Key field is required here.") }
            return await next(request)
        }
        let key = IdempotencyStore.Key(scope: try Self.scope(request), name: try Self.parse(field))
        guard request.body.limit < .max else {
            throw AppError(.invalidArgument, "A request stream without an end cannot have an Idempotency-Key.")
        }
        var request = request
        let body = try await request.body.collect()
        request.body = request.body.replaced(by: body)
        switch try await store.claim(key, Self.fingerprint(request.rawQuery, body)) {
        case .recorded(let response): return response
        case .claimed(let claim): return try await run(request, key, claim, next)
        }
    }

    /// Runs the handler under a claim, and records what it answers.
    private func run(
        _ request: Request, _ key: IdempotencyStore.Key, _ claim: IdempotencyStore.Claim, _ next: Next
    ) async throws -> Response {
        let companion = CommitCompanion(store.database) { [store] in try await store.noteCommit(key, claim) }
        let keyed = KeyedRequest(request: request, key: key, claim: claim, store: store)
        let response = await withClaim(claim, key) {
            await KeyedRequest.$current.withValue(keyed) { await companion.accompany { await next(request) } }
        }
        let requestID = request.context.id
        // Recorded even if the client has gone meanwhile, which cancels this task: hence a task of its own.
        return try await Task { [store] in
            try await store.record(response, requestID: requestID, key, claim)
        }.value
    }

    /// Records what the present request will be answered, in the present transaction: what was done and how it is answered are
    /// committed together. Does nothing where the request has no key.
    /// - Returns: The output, for the handler to return.
    /// - Throws: An `AppError` of code `aborted` when another process has taken over the request: the transaction must not commit.
    @discardableResult
    public static func record<Output: ResponseConvertible>(_ output: Output) async throws -> Output {
        guard let keyed = KeyedRequest.current else { return output }
        let response = try output.response(to: keyed.request)
        guard try await keyed.store.write(response, keyed.key, keyed.claim) else { throw IdempotencyStore.inUse }
        return output
    }

    /// Renews a claim as long as a body runs.
    private func withClaim(
        _ claim: IdempotencyStore.Claim, _ key: IdempotencyStore.Key, _ body: () async -> Response
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
                description: "Chosen by the client: a repeated request with the same key is run once."))
        operation.mayFail(.badRequest, "The Idempotency-Key is malformed.")
        operation.mayFail(.conflict, "The request with this Idempotency-Key is still running, or was interrupted.")
        operation.mayFail(.unprocessableContent, "The Idempotency-Key was used for another request.")
    }

    /// A string in quotes, or the same without them. Blanks at the ends would not arrive.
    private static let pattern = #"^("[!#-~]([ !#-~]{0,253}[!#-~])?"|[!#-~]([ !#-~]{0,253}[!#-~])?)$"#

    private static func isUnsafe(_ method: HTTPRequest.Method) -> Bool {
        switch method {
        case .post, .patch, .put, .delete: true
        default: false
        }
    }

    /// A string of RFC 8941 §3.3.3, or the same without quotes; 1 to 255 printable ASCII characters.
    static func parse(_ field: String) throws -> String {
        let quote = UInt8(ascii: "\"")
        var key = Substring(field).utf8
        if key.count >= 2, key.first == quote, key.last == quote { key = key.dropFirst().dropLast() }
        let isValid = (1...255).contains(key.count) && key.allSatisfy { (0x20...0x7E).contains($0) && $0 != quote }
        // A blank at an end is there in quotes alone, and would make two keys of one: it is refused.
        guard isValid, key.first != 0x20, key.last != 0x20 else {
            throw AppError(
                .invalidArgument,
                "An Idempotency-Key must be 1 to 255 printable ASCII characters, in quotes or without.")
        }
        return String(Substring(key))
    }

    /// Who asks for what: a key is known within it alone. The trailing slash does not matter to the router either.
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
                "An Idempotency-Key belongs to its caller, and this request has neither a principal nor a session.")
        }
        return "\(caller) \(request.method.rawValue) \(path)"
    }

    private static func fingerprint(_ query: Substring?, _ body: ByteBuffer) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: Data((query ?? "").utf8))
        hash.update(data: [0])
        body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }
}

/// The request with a key that a task runs.
private struct KeyedRequest: Sendable {
    @TaskLocal static var current: KeyedRequest?

    let request: Request
    let key: IdempotencyStore.Key
    let claim: IdempotencyStore.Claim
    let store: IdempotencyStore
}

extension HTTPField.Name {
    fileprivate static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
}
