public import ApusCore
import ApusJSON
import Crypto
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization

/// Gives every request behind it the ``Session`` of its browser.
///
/// The cookie has 32 random bytes and a signature of them: one that was made up is known without a look into the store. A
/// session that nobody put anything in is neither kept nor given a cookie. Put ``CrossOriginProtection`` beside it: a cookie
/// comes along whoever asks.
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

    public func handle(_ request: Request, next: Handler) async throws -> Response {
        let name = request.isSecure ? "__Host-\(cookieName)" : cookieName
        let token = request.cookie(name).flatMap(verified)
        let kept = try await load(token)
        let session = Session(
            .init(values: kept?.record.values ?? [:], startedAt: kept?.record.startedAt ?? now, isNew: kept == nil))
        request.context[Key.self] = session
        var response = try await next(request)
        if let cookie = try await keep(session, kept, name, isSecure: request.isSecure) {
            try response.set(cookie)
            // What was made for one browser is not for caches.
            if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        }
        return response
    }

    private var now: Int { Int(clock.now.timeIntervalSince1970) }

    /// A session as it was when the request came.
    private struct Kept {
        let token: Token
        let record: Record
        let until: Date
    }

    private func load(_ token: Token?) async throws -> Kept? {
        guard let token, let (data, until) = try await store.load(token.id, now: clock.now) else { return nil }
        let record = try JSONCoding.decode(Record.self, from: data)
        guard now < record.startedAt + Int(lifetime.seconds) else {
            try await store.delete(token.id)
            return nil
        }
        return Kept(token: token, record: record, until: until)
    }

    /// Keeps what has changed.
    /// - Returns: The cookie that the browser is to have from now on; `nil` if it has the right one.
    private func keep(_ session: Session, _ kept: Kept?, _ name: String, isSecure: Bool) async throws -> SetCookie? {
        let state = session.state.withLock { $0 }
        if state.isEnded || state.wantsRenewal, let kept { try await store.delete(kept.token.id) }
        guard !state.isEnded else {
            return kept == nil ? nil : SetCookie(name, "", maxAge: .zero, isSecure: isSecure)
        }
        let isNew = kept == nil || state.wantsRenewal
        // Nothing was put into it yet.
        guard kept != nil || state.isChanged else { return nil }
        // A renewed session begins anew; another one ends some time after it began.
        let startedAt = state.wantsRenewal ? now : state.startedAt
        let duration = min(Int(idleLifetime.seconds), startedAt + Int(lifetime.seconds) - now)
        let until = clock.now.addingTimeInterval(Double(duration))
        let token: Token
        if isNew || state.isChanged {
            token = isNew ? .new() : kept?.token ?? .new()
            let data = try JSONCoding.encode(Record(startedAt: startedAt, values: state.values))
            try await store.save(token.id, Array(data.readableBytesView), until: until)
            if isNew { try await deleteExpired() }
        } else if let kept, until.timeIntervalSince(kept.until) > idleLifetime.seconds / 10 {
            // What is in it is not written again: another request may have changed it meanwhile.
            token = kept.token
            try await store.extend(token.id, until: until)
        } else {
            return nil
        }
        return SetCookie(name, signed(token), maxAge: .seconds(duration), isSecure: isSecure)
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
        let parts = cookie.split(separator: ".", omittingEmptySubsequences: false)
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
