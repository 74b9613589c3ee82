import ApusCore
import ApusJSON
import FoundationEssentials
import Synchronization

/// What a service remembers of a browser from one request to the next. The browser has a cookie that names the session; its
/// values are in a ``SessionStore``.
///
/// ```swift
/// routes.post("login", Session.Current(), Body(Login.self, as: .form)) { session, form in
///     let user = try await accounts.logIn(form)
///     try session.renew()          // a session that somebody foisted on the browser must not become the user's
///     try session.set("user", user.id)
///     return Redirect(to: "/")
/// }
/// ```
///
/// Changes are stored when the handler has finished, whether it returned or threw. Requests that change different values at
/// the same time keep both; of one value the last to finish wins. Once a session was ended or renewed, a request that is still
/// running under it changes nothing any more.
///
/// The response's header carries the cookie, so a session cannot be changed after it was sent, as in the body of an event
/// stream or in a WebSocket: all methods that change it throw then.
public final class Session: Sendable {
    struct State {
        var values: [String: JSON.Value] = [:]
        /// What this request has set, and `nil` for what it has removed.
        var changes: [String: JSON.Value?] = [:]
        var wantsRenewal = false
        var isEnded = false
        /// Whether the response's header is made.
        var isClosed = false
    }

    /// What the store knows it by; `nil` for a session that is not in the store.
    let id: String?
    private let state: Mutex<State>

    init(id: String?, values: [String: JSON.Value]) {
        self.id = id
        state = Mutex(State(values: values))
    }

    /// Whether the request came without one.
    public var isNew: Bool { id == nil }

    /// A value; `nil` if there is none of the name.
    /// - Throws: An `AppError` when the value is of another type.
    public func get<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value? {
        guard let value = state.withLock({ $0.values[name] }) else { return nil }
        return try JSONCoding.decode(type, from: try JSONCoding.encode(value))
    }

    /// Keeps a value.
    /// - Throws: What encoding throws, or an `AppError` of code `failedPrecondition` after the header was sent.
    public func set(_ name: String, _ value: some Encodable) throws {
        let value = try JSONCoding.decode(JSON.Value.self, from: try JSONCoding.encode(value))
        try change { state in
            state.values[name] = value
            state.changes[name] = .some(value)
        }
    }

    /// Removes a value.
    /// - Throws: An `AppError` of code `failedPrecondition` after the header was sent.
    public func remove(_ name: String) throws {
        try change { state in
            state.values[name] = nil
            state.changes[name] = .some(nil)
        }
    }

    /// Gives the browser another cookie, and makes the old one worthless. Always when someone logs in, and when they may do
    /// more than before.
    /// - Throws: An `AppError` of code `failedPrecondition` after the header was sent.
    public func renew() throws { try change { $0.wantsRenewal = true } }

    /// Removes all values, and makes the cookie worthless: when someone logs out. What is set afterwards begins another session.
    /// - Throws: An `AppError` of code `failedPrecondition` after the header was sent.
    public func end() throws {
        try change { state in
            state.values = [:]
            state.changes = [:]
            state.isEnded = true
        }
    }

    private func change(_ change: (inout State) -> Void) throws {
        try state.withLock { state in
            guard !state.isClosed else {
                throw AppError(
                    .failedPrecondition,
                    "The session cannot be changed any more: the response's header, which sets its cookie, is sent.")
            }
            change(&state)
        }
    }

    /// Takes no more changes.
    /// - Returns: What the request has changed.
    func close() -> State {
        state.withLock { state in
            state.isClosed = true
            return state
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

extension Request {
    /// What tells the session that the request came with from every other; `nil` without one.
    package var sessionID: String? { context[Sessions.Key.self]?.id }
}
