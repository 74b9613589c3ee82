public import ApusCore
import ApusJSON
import Crypto
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization

/// Middleware that provides requests with the ``Session`` of their browser.
///
/// The cookie contains 32 random bytes and their signature, so that forged cookies are rejected without a store lookup. A
/// session without values is not stored and sets no cookie. Combine this middleware with ``CrossOriginProtection``, because
/// browsers send cookies regardless of the page that makes the request.
///
/// The changes of a handler to its session are stored whether it returns or throws, and also if the client disconnects or a
/// deadline passes meanwhile: a session that was ended or renewed is never valid again under its old cookie. A response that
/// sets the cookie is not stored by shared caches: its `Cache-Control` becomes `no-store`, or `private` if the handler has set
/// the field.
public struct Sessions: Middleware {
    enum Key: RequestContextKey {
        typealias Value = Session
    }

    /// The uptime at which expired sessions were last removed.
    private final class CleanupTime: Sendable {
        private let time = Mutex<Duration?>(nil)

        func withLock<Result>(_ body: (inout Duration?) -> Result) -> Result { time.withLock { body(&$0) } }
    }

    /// The stored representation of a session.
    private struct Record: Codable {
        var startedAt: Int
        var values: [String: JSON.Value]
    }

    private let store: any SessionStore
    private let secrets: [SymmetricKey]
    private let cookieName: String
    private let idleLifetime: Duration
    private let lifetime: Duration
    private let clock: any WallClock
    private let lastCleanup = CleanupTime()

    /// Creates the middleware.
    /// - Parameters:
    ///   - secrets: The secrets that sign cookies, of at least 32 bytes each. The first one signs, and all are accepted for
    ///     verification, so that secrets can be rotated.
    ///   - cookieName: The name of the cookie, by default `session`. Over TLS, it is prefixed with `__Host-`, which makes
    ///     browsers bind the cookie to this host.
    ///   - idleLifetime: How long an unused session is stored. The default is one day.
    ///   - maximumLifetime: The maximum lifetime of a session. The default is 30 days.
    /// - Throws: An `AppError` with code `invalidArgument` if there are no secrets or if one is too short.
    public init(
        _ store: any SessionStore, secrets: [Secret<String>], cookieName: String = "session",
        idleLifetime: Duration = .seconds(86400), maximumLifetime: Duration = .seconds(30 * 86400),
        clock: any WallClock = SystemClock()
    ) throws {
        guard !secrets.isEmpty, secrets.allSatisfy({ $0.reveal().utf8.count >= 32 }) else {
            throw AppError(
                .invalidArgument, "Sessions need at least one secret, and each secret must have at least 32 bytes.")
        }
        self.store = store
        self.secrets = secrets.map { SymmetricKey(data: Data($0.reveal().utf8)) }
        self.cookieName = cookieName
        self.idleLifetime = idleLifetime
        lifetime = maximumLifetime
        self.clock = clock
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        let name = request.isSecure ? "__Host-\(cookieName)" : cookieName
        let cookies = request.cookies(name)
        let tokens = Array(cookies.compactMap(verified).prefix(Self.maximumCookies))
        let loaded = try await load(tokens)
        let session = Session(id: loaded?.token.id, values: loaded?.record.values ?? [:])
        request.context[Key.self] = session
        var response = await next(request)
        switch try await save(session.close(), loaded, tokens) {
        case .unchanged: return response
        case .ended where cookies.isEmpty: return response
        case .ended: try response.set(.removal(of: name))
        case .stored(let token, let seconds):
            try response.set(SetCookie(name, signed(token), maxAge: .seconds(seconds), isSecure: request.isSecure))
        }
        response.forbidSharedCaching()
        return response
    }

    private var now: Int { Int(clock.now.timeIntervalSince1970) }

    /// A session loaded from the store.
    private struct LoadedSession {
        let token: Token
        let record: Record
        let until: Date
        let version: Int
    }

    /// The maximum number of cookies that are looked up. Browsers send several cookies of the same name if they were set for
    /// different paths or domains, in an unreliable order (RFC 6265 §4.2.2).
    private static let maximumCookies = 4

    private func load(_ tokens: [Token]) async throws -> LoadedSession? {
        for token in tokens {
            if let session = try await load(token) { return session }
        }
        return nil
    }

    private func load(_ token: Token) async throws -> LoadedSession? {
        guard let stored = try await store.load(token.id, now: clock.now) else { return nil }
        let record = try JSON.Decoder.standard.decode(Record.self, from: stored.data)
        guard now < record.startedAt + Int(lifetime.seconds) else {
            try await store.delete(token.id)
            return nil
        }
        return LoadedSession(token: token, record: record, until: stored.expiresAt, version: stored.version)
    }

    private enum Outcome {
        /// The browser needs no new cookie.
        case unchanged
        /// The browser's cookie is no longer valid.
        case ended
        /// The browser needs a new cookie, with the given maximum age.
        case stored(Token, seconds: Int)
    }

    /// The maximum time in which changes are stored after a request was cancelled.
    private static let storeTimeout = Duration.seconds(10)

    /// Stores what a request has done to its session.
    private func save(
        _ state: Session.State, _ loaded: LoadedSession?, _ tokens: [Token]
    ) async throws -> Outcome {
        guard state.isEnded || state.wantsRenewal || !state.changes.isEmpty else {
            guard let loaded else { return .unchanged }
            return try await extend(loaded)
        }
        // In a separate task with a deadline of its own: a client that disconnects, or a deadline that passes, cancels this
        // task, but must not keep a session alive that the handler has ended.
        return try await Task {
            try await withoutDeadline {
                try await withDeadline(.after(Self.storeTimeout)) { try await apply(state, loaded, tokens) }
            }
        }.value
    }

    private func apply(
        _ state: Session.State, _ loaded: LoadedSession?, _ tokens: [Token]
    ) async throws -> Outcome {
        // Includes the sessions of other cookies of the name, which the browser would otherwise use next.
        let invalidated = tokens.filter { state.isEnded || (state.wantsRenewal && $0.id != loaded?.token.id) }
        for token in invalidated { try await store.delete(token.id) }
        let values = state.changes.compactMapValues { $0 }
        if state.isEnded { return values.isEmpty ? .ended : try await begin(values) }
        guard let loaded else { return values.isEmpty ? .unchanged : try await begin(values) }
        return try await change(loaded, state)
    }

    /// Stores a new session.
    private func begin(_ values: [String: JSON.Value]) async throws -> Outcome {
        let token = Token.new()
        let record = Record(startedAt: now, values: values)
        try await store.insert(token.id, try encode(record, version: 1))
        try await deleteExpired()
        return .stored(token, seconds: secondsLeft(record))
    }

    /// The maximum number of attempts to change a session that other requests change concurrently.
    private static let maximumAttempts = 32

    /// Stores changes on top of the changes that other requests have stored in the meantime.
    private func change(_ loaded: LoadedSession, _ state: Session.State) async throws -> Outcome {
        var current = loaded
        let token = state.wantsRenewal ? Token.new() : loaded.token
        for _ in 0..<Self.maximumAttempts {
            var record = current.record
            record.values.merge(state.changes.compactMapValues { $0 }) { $1 }
            for (name, value) in state.changes where value == nil { record.values[name] = nil }
            // Renewal restarts the maximum lifetime of a session.
            if state.wantsRenewal { record.startedAt = now }
            let isReplaced = try await store.replace(
                loaded.token.id, version: current.version, by: token.id,
                try encode(record, version: current.version + 1))
            if isReplaced { return .stored(token, seconds: secondsLeft(record)) }
            guard let next = try await load(loaded.token) else {
                // Another request has ended or renewed the session. A login still succeeds, without the values of the old
                // session.
                let values = state.changes.compactMapValues { $0 }
                guard state.wantsRenewal, !values.isEmpty else { return .unchanged }
                return try await begin(values)
            }
            current = next
        }
        throw AppError(.aborted, "Too many concurrent requests change the session.")
    }

    /// Extends the expiry of a session. To avoid a write for each request, this is done only if it changes by more than a
    /// tenth of the idle lifetime.
    private func extend(_ loaded: LoadedSession) async throws -> Outcome {
        let seconds = secondsLeft(loaded.record)
        let until = clock.now.addingTimeInterval(Double(seconds))
        guard until.timeIntervalSince(loaded.until) > idleLifetime.seconds / 10 else { return .unchanged }
        try await store.extend(loaded.token.id, until: until)
        return .stored(loaded.token, seconds: seconds)
    }

    private func secondsLeft(_ record: Record) -> Int {
        min(Int(idleLifetime.seconds), record.startedAt + Int(lifetime.seconds) - now)
    }

    private func encode(_ record: Record, version: Int) throws -> StoredSession {
        let data = try JSONCoding.encode(record)
        let until = clock.now.addingTimeInterval(Double(secondsLeft(record)))
        return StoredSession(Array(data.readableBytesView), expiresAt: until, version: version)
    }

    /// Removes expired sessions, at most every ten minutes. Called when a session begins.
    private func deleteExpired() async throws {
        let uptime = clock.uptime
        let isDue = lastCleanup.withLock { last in
            if let last, uptime - last < .seconds(600) { return false }
            last = uptime
            return true
        }
        if isDue { try await store.deleteExpired(now: clock.now) }
    }

    // MARK: Cookies

    /// The random bytes in the browser's cookie. The store identifies the session by their hash.
    private struct Token {
        let bytes: [UInt8]

        static func new() -> Token { Token(bytes: SymmetricKey(size: .bits256).withUnsafeBytes(Array.init)) }

        var id: String { SHA256.hash(data: bytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
    }

    private func signed(_ token: Token) -> String {
        let signature = HMAC<SHA256>.authenticationCode(for: token.bytes, using: secrets[0])
        return "\(Base64URL.encode(token.bytes)).\(Base64URL.encode(Array(signature)))"
    }

    private func verified(_ cookie: String) -> Token? {
        let parts = cookie.split(at: ".", omittingEmpty: false)
        guard parts.count == 2, let bytes = Base64URL.decode(parts[0]), bytes.count == 32,
            let signature = Base64URL.decode(parts[1])
        else { return nil }
        // Tries all secrets; the comparison takes constant time.
        let isValid = secrets.map {
            HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: bytes, using: $0)
        }
        return isValid.contains(true) ? Token(bytes: bytes) : nil
    }
}
