import ApusCore
import ApusJSON
import FoundationEssentials
import Synchronization

/// What a service remembers of a browser from one request to the next. The browser has a cookie that says which it is; the
/// rest is in a ``SessionStore``.
///
/// ```swift
/// routes.post("login", Session.Current(), Body(Login.self, as: .form)) { session, form in
///     let user = try await accounts.logIn(form)
///     session.renew()              // a session that somebody foisted on the browser must not become the user's
///     try session.set("user", user.id)
///     return Redirect(to: "/")
/// }
/// ```
public final class Session: Sendable {
    struct State {
        var values: [String: JSON.Value] = [:]
        /// When it began, in seconds since 1970: it ends some time after, however often it is used.
        var startedAt: Int
        var isNew = false
        var isChanged = false
        var wantsRenewal = false
        var isEnded = false
    }

    let state: Mutex<State>

    init(_ state: State) { self.state = Mutex(state) }

    /// Whether the request came without one.
    public var isNew: Bool { state.withLock { $0.isNew } }

    /// A value; `nil` if there is none of the name.
    /// - Throws: An `AppError` when the value is of another type.
    public func get<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value? {
        guard let value = state.withLock({ $0.values[name] }) else { return nil }
        return try JSONCoding.decode(type, from: try JSONCoding.encode(value))
    }

    /// Keeps a value.
    public func set(_ name: String, _ value: some Encodable) throws {
        let value = try JSONCoding.decode(JSON.Value.self, from: try JSONCoding.encode(value))
        state.withLock { state in
            state.values[name] = value
            state.isChanged = true
        }
    }

    /// Forgets a value.
    public func remove(_ name: String) {
        state.withLock { state in
            if state.values.removeValue(forKey: name) != nil { state.isChanged = true }
        }
    }

    /// Gives the browser another cookie, and makes the old one worthless. Always when someone logs in, and when they may do
    /// more than before.
    public func renew() { state.withLock { $0.wantsRenewal = true } }

    /// Forgets all of it, and takes the cookie away: when someone logs out.
    public func end() {
        state.withLock { state in
            state.values = [:]
            state.isEnded = true
        }
    }

    /// The session of a request, behind ``Sessions``.
    public struct Current: RequestInput {
        public init() {}

        public func extract(from request: Request) throws -> Session {
            guard let session = request.context[Sessions.Key.self] else {
                throw AppError(.internal, "The route is not behind the middleware Sessions.")
            }
            return session
        }
    }
}
