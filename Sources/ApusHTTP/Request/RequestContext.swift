public import ApusCore
public import Logging
import Synchronization

/// The context of one request: its ID, its route, its principal, and the values that middleware adds.
///
/// All parts of the chain share one context, so the access log, which is outermost, sees the route and the principal,
/// which are determined further in.
public final class RequestContext: Sendable {
    private struct State {
        var id = ""
        var route: String?
        var parameters = PathParameters()
        var principal: (any Principal)?
        var principalExpiresIn: Duration?
        var attributes: [ObjectIdentifier: any Sendable] = [:]
        var groupValues: [any Sendable] = []
    }

    private let state = Mutex(State())
    private let baseLogger: Logger

    /// The protocol requested by an extended CONNECT of HTTP/2 (RFC 8441), such as `websocket`.
    package let connectProtocol: String?

    /// Creates a context.
    /// - Parameter logger: The base of ``logger``.
    public init(logger: Logger = Logger(label: "apus.request")) {
        baseLogger = logger
        connectProtocol = nil
    }

    package init(logger: Logger, connectProtocol: String?) {
        baseLogger = logger
        self.connectProtocol = connectProtocol
    }

    /// The request ID, which is logged and sent in `X-Request-Id`. Empty until the ``RequestID`` middleware has run.
    public var id: String {
        get { state.withLock { $0.id } }
        set { state.withLock { $0.id = newValue } }
    }

    /// The template of the matched route, such as `/v1/orders/:id`; `nil` before routing and if no route matched.
    public internal(set) var route: String? {
        get { state.withLock { $0.route } }
        set { state.withLock { $0.route = newValue } }
    }

    /// The values of the route's `:name` segments.
    var parameters: PathParameters {
        get { state.withLock { $0.parameters } }
        set { state.withLock { $0.parameters = newValue } }
    }

    /// The principal that makes the request, once it is known.
    public var principal: (any Principal)? {
        get { state.withLock { $0.principal } }
        set { state.withLock { $0.principal = newValue } }
    }

    /// How long the principal remains valid, such as the remaining lifetime of its token. A connection that outlives
    /// its request is closed after this time.
    public var principalExpiresIn: Duration? {
        get { state.withLock { $0.principalExpiresIn } }
        set { state.withLock { $0.principalExpiresIn = newValue } }
    }

    /// A logger with the request ID as metadata. It is created on each access, because most requests need it once, at
    /// their end.
    public var logger: Logger {
        var logger = baseLogger
        let id = id
        if !id.isEmpty { logger[metadataKey: "request_id"] = .string(id) }
        return logger
    }

    /// Stores the value that the input of a group has extracted.
    /// - Parameter depth: The number of inputs of the enclosing groups.
    func setGroupValue(_ value: any Sendable, at depth: Int) {
        state.withLock { state in
            // Values further in are left over from an earlier pass if a middleware has called `next` twice.
            if state.groupValues.count > depth { state.groupValues.removeSubrange(depth...) }
            state.groupValues.append(value)
        }
    }

    func groupValue(at depth: Int) -> (any Sendable)? {
        state.withLock { $0.groupValues.indices.contains(depth) ? $0.groupValues[depth] : nil }
    }

    /// Returns the value of the innermost group that has one of the given type.
    func groupValue<Value>(as type: Value.Type) -> Value? {
        state.withLock { state in state.groupValues.lazy.reversed().compactMap { $0 as? Value }.first }
    }

    /// A value that one part of the chain stores for another, identified by the type of its key.
    public subscript<Key: RequestContextKey>(key: Key.Type) -> Key.Value? {
        get { state.withLock { $0.attributes[ObjectIdentifier(key)] } as? Key.Value }
        set { state.withLock { $0.attributes[ObjectIdentifier(key)] = newValue } }
    }
}

/// A type that identifies a value in a ``RequestContext``.
public protocol RequestContextKey {
    associatedtype Value: Sendable
}
