import ApusCore
import ApusJSON
import NIOCore
import FoundationEssentials
import Synchronization

/// The state of a browser session across requests. A cookie identifies the session; its values are stored in a
/// ``SessionStore``.
///
/// ```swift
/// routes.post("login", Session.Current(), Body(Login.self, as: .form)) { session, form in
///     let user = try await accounts.logIn(form)
///     try session.renew()  // prevents session fixation
///     try session.set("user", user.id)
///     return Redirect(to: "/")
/// }
/// ```
///
/// Changes are stored after the handler has finished, whether it returned or threw, and whatever the status of the response:
/// nothing is undone. If concurrent requests change different values, both changes are stored; if they change the same value,
/// the last request to finish wins. After a session was ended or renewed, its old cookie is invalid, and changes by requests
/// that still use the old session are discarded.
///
/// The cookie is set by the response header, so a session cannot be changed after the header was sent, such as in the body
/// of an event stream or in a WebSocket: all methods that change the session throw then.
public final class Session: Sendable {
    struct State {
        var values: [String: JSON.Value] = [:]
        /// The values that this request has set, and `nil` for those that it has removed.
        var changes: [String: JSON.Value?] = [:]
        var wantsRenewal = false
        var isEnded = false
        /// Whether the response header has been created.
        var isClosed = false
    }

    /// The id in the store; `nil` for a session that is not stored.
    let id: String?
    private let state: Mutex<State>

    init(id: String?, values: [String: JSON.Value]) {
        self.id = id
        state = Mutex(State(values: values))
    }

    /// Whether the request had no session.
    public var isNew: Bool { id == nil }

    /// Returns the value with a name; `nil` if there is none.
    /// - Throws: A `DecodingError`, which becomes a 500, if the value cannot be decoded as the type.
    public func get<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value? {
        guard let value = state.withLock({ $0.values[name] }) else { return nil }
        let bytes = try JSONCoding.encode(value).readableBytesView
        return try JSON.Decoder.standard.decode(type, from: bytes)
    }

    /// Sets a value.
    /// - Throws: The encoding error, or an `AppError` with code `failedPrecondition` after the header was sent.
    public func set(_ name: String, _ value: some Encodable) throws {
        let value = try JSONCoding.decode(JSON.Value.self, from: try JSONCoding.encode(value))
        try change { state in
            state.values[name] = value
            state.changes[name] = .some(value)
        }
    }

    /// Removes a value.
    /// - Throws: An `AppError` with code `failedPrecondition` after the header was sent.
    public func remove(_ name: String) throws {
        try change { state in
            state.values[name] = nil
            state.changes[name] = .some(nil)
        }
    }

    /// Replaces the session cookie and invalidates the old one. Always call it when a user logs in or gains privileges.
    /// - Throws: An `AppError` with code `failedPrecondition` after the header was sent.
    public func renew() throws { try change { $0.wantsRenewal = true } }

    /// Removes all values and invalidates the cookie. Call it when a user logs out. Values that are set afterwards start a new
    /// session.
    /// - Throws: An `AppError` with code `failedPrecondition` after the header was sent.
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
                    "The session cannot be changed after the response header, which sets its cookie, was sent.")
            }
            change(&state)
        }
    }

    /// Rejects further changes.
    /// - Returns: The final state of the session.
    func close() -> State {
        state.withLock { state in
            state.isClosed = true
            return state
        }
    }

    /// An input that provides the session of a request. It requires the middleware ``Sessions``.
    public struct Current: RequestInput {
        public init() {}

        public func extract(from request: Request) throws -> Session {
            guard let session = request.context[Sessions.Key.self] else {
                throw AppError(.internal, "The route reads the session, but the middleware Sessions is missing.")
            }
            return session
        }
    }
}

extension Request {
    /// The id of the stored session with which the request was made; `nil` without one.
    package var sessionID: String? { context[Sessions.Key.self]?.id }
}
