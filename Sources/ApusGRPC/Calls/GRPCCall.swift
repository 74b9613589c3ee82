public import ApusHTTP
public import GRPCCore
import Synchronization

/// The framework's view of a gRPC call.
///
/// ```swift
/// func place(request: PlaceOrder, context: ServerContext) async throws -> Order {
///     let customer = try context.principal(as: Customer.self)
///     …
/// }
/// ```
public final class GRPCCall: ServerContext.TransportSpecific {
    /// The HTTP request of the call, as the middleware passed it on.
    public let request: Request

    private let isCompressing: Mutex<Bool>
    private let recordedError = Mutex<(any Error)?>(nil)

    init(_ request: Request, isCompressing: Bool) {
        self.request = request
        self.isCompressing = Mutex(isCompressing)
    }

    /// Whether the following messages are compressed if the client supports it. Defaults to the value in
    /// ``GRPCConfiguration``.
    public var compressesMessages: Bool {
        get { isCompressing.withLock { $0 } }
        set { isCompressing.withLock { $0 = newValue } }
    }

    /// The error that ended the call, before its conversion to a status.
    var error: (any Error)? {
        get { recordedError.withLock { $0 } }
        set { recordedError.withLock { $0 = newValue } }
    }
}
