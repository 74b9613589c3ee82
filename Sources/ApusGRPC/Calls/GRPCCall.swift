public import ApusHTTP
public import GRPCCore
import Synchronization

/// What the framework knows of a call, beside what gRPC says of it.
///
/// ```swift
/// func place(request: PlaceOrder, context: ServerContext) async throws -> Order {
///     let customer = try context.principal(as: Customer.self)
///     …
/// }
/// ```
public final class GRPCCall: ServerContext.TransportSpecific {
    /// The request that brought the call, as its middleware saw it.
    public let request: Request

    private let isCompressing: Mutex<Bool>
    private let noted = Mutex<(any Error)?>(nil)

    init(_ request: Request, isCompressing: Bool) {
        self.request = request
        self.isCompressing = Mutex(isCompressing)
    }

    /// Whether the messages that follow are compressed, if the client reads what is. As the app's settings say, unless the
    /// service says otherwise.
    public var compressesMessages: Bool {
        get { isCompressing.withLock { $0 } }
        set { isCompressing.withLock { $0 = newValue } }
    }

    /// The error that ended the call, before gRPC makes a status of it.
    var error: (any Error)? {
        get { noted.withLock { $0 } }
        set { noted.withLock { $0 = newValue } }
    }
}
