/// The configuration of a gRPC server.
public struct GRPCConfiguration: Sendable {
    /// The maximum size of an incoming message, in bytes, both before and after decompression. Defaults to 4 MiB.
    public var maximumMessageBytes = 4 << 20
    /// Whether messages to clients that accept gzip are compressed. Services can override it per call. Defaults to `false`.
    public var compressesMessages = false
    /// The `domain` of `google.rpc.ErrorInfo`, which scopes error reasons: the app's name.
    public var domain = ""

    /// Whether unary methods bypass GRPCCore if the generated code supports it. Defaults to `true`.
    package var callsDirectly = true

    public init() {}
}
