public import ApusCore
public import Logging
import Synchronization

/// What is known of one request: its id, its route, who makes it, and what middleware adds.
///
/// All parts of the chain share one context, so that the access log, which is outermost, sees the route and the principal,
/// which are found out further in.
public final class RequestContext: Sendable {
    private struct State {
        var id = ""
        var route: String?
        var parameters = PathParameters()
        var principal: (any Principal)?
        var principalTimeLeft: Duration?
        var attributes: [ObjectIdentifier: any Sendable] = [:]
        var groupValues: [any Sendable] = []
    }

    private let state = Mutex(State())
    private let baseLogger: Logger

    /// The protocol that an extended CONNECT of HTTP/2 asks for (RFC 8441), such as `websocket`.
    package let connectProtocol: String?

    /// - Parameter logger: The logger that ``logger`` starts from.
    public init(logger: Logger = Logger(label: "apus.request")) {
        baseLogger = logger
        connectProtocol = nil
    }

    package init(logger: Logger, connectProtocol: String?) {
        baseLogger = logger
        self.connectProtocol = connectProtocol
    }

    /// The request's id, as it is logged and sent in `X-Request-Id`. Empty until the `RequestID` middleware has run.
    public var id: String {
        get { state.withLock { $0.id } }
        set { state.withLock { $0.id = newValue } }
    }

    /// The template of the route that matched, such as `/v1/orders/:id`; `nil` before routing and when none did.
    public internal(set) var route: String? {
        get { state.withLock { $0.route } }
        set { state.withLock { $0.route = newValue } }
    }

    /// The values of the route's `:name` segments.
    var parameters: PathParameters {
        get { state.withLock { $0.parameters } }
        set { state.withLock { $0.parameters = newValue } }
    }

    /// Who makes the request, once that is known.
    public var principal: (any Principal)? {
        get { state.withLock { $0.principal } }
        set { state.withLock { $0.principal = newValue } }
    }

    /// How long the principal is known from now on: what its token has left. A connection that outlives its request is
    /// closed then.
    public var principalTimeLeft: Duration? {
        get { state.withLock { $0.principalTimeLeft } }
        set { state.withLock { $0.principalTimeLeft = newValue } }
    }

    /// A logger that carries the request's id. It is made anew each time: most requests need it once, at their end.
    public var logger: Logger {
        var logger = baseLogger
        let id = id
        if !id.isEmpty { logger[metadataKey: "request_id"] = .string(id) }
        return logger
    }

    /// Keeps what the input of a group has extracted.
    /// - Parameter depth: How many inputs the groups around it have.
    func setGroupValue(_ value: any Sendable, at depth: Int) {
        state.withLock { state in
            // Those further in are of another request, if a middleware has sent this one on twice.
            if state.groupValues.count > depth { state.groupValues.removeSubrange(depth...) }
            state.groupValues.append(value)
        }
    }

    func groupValue(at depth: Int) -> (any Sendable)? {
        state.withLock { $0.groupValues.indices.contains(depth) ? $0.groupValues[depth] : nil }
    }

    /// The innermost of a type.
    func groupValue<Value>(as type: Value.Type) -> Value? {
        state.withLock { state in state.groupValues.lazy.reversed().compactMap { $0 as? Value }.first }
    }

    /// A value that one part of the chain leaves for another, found by its key's type.
    public subscript<Key: RequestContextKey>(key: Key.Type) -> Key.Value? {
        get { state.withLock { $0.attributes[ObjectIdentifier(key)] } as? Key.Value }
        set { state.withLock { $0.attributes[ObjectIdentifier(key)] = newValue } }
    }
}

/// The name, by type, of a value in a ``RequestContext``.
public protocol RequestContextKey {
    associatedtype Value: Sendable
}
