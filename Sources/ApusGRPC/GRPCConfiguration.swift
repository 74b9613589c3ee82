/// How calls are answered.
public struct GRPCConfiguration: Sendable {
    /// The most bytes of a message that comes, before and after it is decompressed. 4 MiB.
    public var maximumMessageBytes = 4 << 20
    /// Whether messages to clients that read gzip are compressed, unless a service says otherwise for a call. `false`.
    public var compressesMessages = false
    /// Who gives errors their reasons, as `google.rpc.ErrorInfo` says it: the app's name.
    public var domain = ""

    /// Whether methods of one message each way are called without GRPCCore, where the generated code says how. `true`.
    package var callsDirectly = true

    public init() {}
}
