public import ApusCore
import ApusJSON
import Crypto
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization

/// Gives every request behind it the ``Session`` of its browser.
///
/// The cookie has 32 random bytes and a signature of them, so a forged one is recognised without a look into the store. A
/// session without values is neither stored nor given a cookie. Put ``CrossOriginProtection`` beside it: browsers send cookies
/// along whichever page makes the request.
///
/// What a handler has done to its session is stored whether it returns or throws. A response that sets the cookie is never left
/// to shared caches: its `Cache-Control` becomes `no-store`, or `private` where the handler has set one.
public struct Sessions: Middleware {
    enum Key: RequestContextKey {
        typealias Value = Session
    }

    /// When those whose time is over were last forgotten.
    private final class CleaningTime: Sendable {
        private let time = Mutex<Duration?>(nil)

        func withLock<Result>(_ body: (inout Duration?) -> Result) -> Result { time.withLock { body(&$0) } }
    }

    /// What is kept of a session.
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
    private let lastCleaning = CleaningTime()

    /// - Parameters:
    ///   - secrets: What cookies are signed with, 32 bytes or more each: the first one signs, all of them are believed, so
    ///     that a secret can be exchanged.
    ///   - cookieName: `session`. Over TLS it is `__Host-session`, which browsers bind to this host.
    ///   - idleLifetime: How long a session is kept that is not used. A day.
    ///   - lifetime: How long it is kept at most. 30 days.
    /// - Throws: An `AppError` of code `invalidArgument` without secrets, or with one that is too short.
    public init(
        _ store: any SessionStore, secrets: [Secret<String>], cookieName: String = "session",
        idleLifetime: Duration = .seconds(86400), lifetime: Duration = .seconds(30 * 86400),
        clock: any WallClock = SystemClock()
    ) throws {
        guard !secrets.isEmpty, secrets.allSatisfy({ $0.reveal().utf8.count >= 32 }) else {
            throw AppError(.invalidArgument, "Sessions need a secret of 32 bytes or more.")
        }
        self.store = store
        self.secrets = secrets.map { SymmetricKey(data: Data($0.reveal().utf8)) }
        self.cookieName = cookieName
        self.idleLifetime = idleLifetime
        self.lifetime = lifetime
        self.clock = clock
    }

    public func handle(_ request: Request, next: Next) async throws -> Response {
        let name = request.isSecure ? "__Host-\(cookieName)" : cookieName
        let cookies = request.cookies(name)
        let kept = try await load(cookies)
        let session = Session(id: kept?.token.id, values: kept?.record.values ?? [:])
        request.context[Key.self] = session
        var response = await next(request)
        switch try await keep(session.close(), kept) {
        case .unchanged: return response
        case .ended where cookies.isEmpty: return response
        case .ended: try response.set(.removal(of: name))
        case .kept(let token, let seconds):
            try response.set(SetCookie(name, signed(token), maxAge: .seconds(seconds), isSecure: request.isSecure))
        }
        response.forbidSharedCaching()
        return response
    }

    private var now: Int { Int(clock.now.timeIntervalSince1970) }

    /// A session as the store has it.
    private struct Kept {
        let token: Token
        let record: Record
        let until: Date
        let version: Int
    }

    /// The most cookies of the session's name that are looked up: browsers send several when they were set for other paths
    /// or domains, in no order to rely on (RFC 6265 §4.2.2).
    private static let maximumCookies = 4

    private func load(_ cookies: [String]) async throws -> Kept? {
        for token in cookies.compactMap(verified).prefix(Self.maximumCookies) {
            if let kept = try await load(token) { return kept }
        }
        return nil
    }

    private func load(_ token: Token) async throws -> Kept? {
        guard let stored = try await store.load(token.id, now: clock.now) else { return nil }
        let record = try JSONCoding.decode(Record.self, from: stored.data)
        guard now < record.startedAt + Int(lifetime.seconds) else {
            try await store.delete(token.id)
            return nil
        }
        return Kept(token: token, record: record, until: stored.until, version: stored.version)
    }

    private enum Outcome {
        /// The browser has the right cookie, or needs none.
        case unchanged
        /// The browser's cookie is worthless.
        case ended
        /// The browser needs a cookie, which it keeps for so many seconds.
        case kept(Token, seconds: Int)
    }

    /// Stores what a request has changed.
    private func keep(_ state: Session.State, _ kept: Kept?) async throws -> Outcome {
        if state.isEnded {
            if let kept { try await store.delete(kept.token.id) }
            return state.changes.isEmpty ? .ended : try await begin(state.changes)
        }
        guard let kept else { return state.changes.isEmpty ? .unchanged : try await begin(state.changes) }
        guard state.wantsRenewal || !state.changes.isEmpty else { return try await extend(kept) }
        return try await change(kept, state)
    }

    /// Stores a new session.
    private func begin(_ changes: [String: JSON.Value?]) async throws -> Outcome {
        let token = Token.new()
        let record = Record(startedAt: now, values: changes.compactMapValues { $0 })
        try await store.insert(token.id, try stored(record, version: 1))
        try await deleteExpired()
        return .kept(token, seconds: secondsLeft(record))
    }

    /// How often a session that other requests change as well is tried to be changed.
    private static let maximumAttempts = 32

    /// Stores changes on top of what other requests have changed meanwhile.
    private func change(_ kept: Kept, _ state: Session.State) async throws -> Outcome {
        var current = kept
        let token = state.wantsRenewal ? Token.new() : kept.token
        for _ in 0..<Self.maximumAttempts {
            var record = current.record
            record.values.merge(state.changes.compactMapValues { $0 }) { $1 }
            for (name, value) in state.changes where value == nil { record.values[name] = nil }
            // A renewed session begins anew; any other expires some time after it began.
            if state.wantsRenewal { record.startedAt = now }
            let isReplaced = try await store.replace(
                kept.token.id, version: current.version, by: token.id,
                try stored(record, version: current.version + 1))
            if isReplaced { return .kept(token, seconds: secondsLeft(record)) }
            guard let next = try await load(kept.token) else {
                // Another request has ended or renewed it. A login is one all the same, without what was in the old session.
                guard state.wantsRenewal, !state.changes.isEmpty else { return .unchanged }
                return try await begin(state.changes)
            }
            current = next
        }
        throw AppError(.aborted, "Too many requests change the session at the same time.")
    }

    private func extend(_ kept: Kept) async throws -> Outcome {
        let seconds = secondsLeft(kept.record)
        let until = clock.now.addingTimeInterval(Double(seconds))
        guard until.timeIntervalSince(kept.until) > idleLifetime.seconds / 10 else { return .unchanged }
        try await store.extend(kept.token.id, until: until)
        return .kept(kept.token, seconds: seconds)
    }

    private func secondsLeft(_ record: Record) -> Int {
        min(Int(idleLifetime.seconds), record.startedAt + Int(lifetime.seconds) - now)
    }

    private func stored(_ record: Record, version: Int) throws -> StoredSession {
        let data = try JSONCoding.encode(record)
        let until = clock.now.addingTimeInterval(Double(secondsLeft(record)))
        return StoredSession(Array(data.readableBytesView), until: until, version: version)
    }

    /// Now and then, when a session begins.
    private func deleteExpired() async throws {
        let uptime = clock.uptime
        let isTime = lastCleaning.withLock { last in
            if let last, uptime - last < .seconds(600) { return false }
            last = uptime
            return true
        }
        if isTime { try await store.deleteExpired(now: clock.now) }
    }

    // MARK: Cookies

    /// What the browser has, and under which id the store knows it.
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
        // Each secret is tried; `isValid` compares in constant time.
        let isValid = secrets.map {
            HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: bytes, using: $0)
        }
        return isValid.contains(true) ? Token(bytes: bytes) : nil
    }
}
