public import ApusCore
import ApusHTTP
public import GRPCCore

extension ServerContext {
    /// The framework's view of the call; `nil` if the server is not Apus.
    public var call: GRPCCall? { transportSpecific as? GRPCCall }

    /// Returns the authenticated caller.
    /// - Throws: An `AppError` with code `unauthenticated` if the call is not authenticated, or `permissionDenied` if the
    ///   caller has another type.
    public func principal<Caller: Principal>(as type: Caller.Type = Caller.self) throws -> Caller {
        guard let principal = call?.request.context.principal else {
            throw AppError(.unauthenticated, "This call requires authentication.")
        }
        guard let caller = principal as? Caller else {
            throw AppError(.permissionDenied, "This type of caller may not make this call.")
        }
        return caller
    }
}
