public import ApusCore
import ApusHTTP
public import GRPCCore

extension ServerContext {
    /// What the framework knows of the call; `nil` under another server than Apus.
    public var call: GRPCCall? { transportSpecific as? GRPCCall }

    /// Who makes the call, as the middleware found out.
    /// - Throws: An `AppError` of code `unauthenticated` when nobody is known, `permissionDenied` for somebody of another type.
    public func principal<Caller: Principal>(as type: Caller.Type = Caller.self) throws -> Caller {
        guard let principal = call?.request.context.principal else {
            throw AppError(.unauthenticated, "This call needs to know who makes it.")
        }
        guard let caller = principal as? Caller else {
            throw AppError(.permissionDenied, "This call is not for callers of this kind.")
        }
        return caller
    }
}
