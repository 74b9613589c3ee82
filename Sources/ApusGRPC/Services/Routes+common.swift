package import ApusHTTP

extension Routes {
    /// What tools ask of every server of gRPC, if services are declared here: health, and reflection.
    /// - Parameters:
    ///   - reflects: Whether clients may ask what there is.
    ///   - isReady: Whether the process can serve.
    package func grpcCommonServices(reflects: Bool, isReady: @escaping @Sendable () async -> Bool) {
        let served = attached(ServedServices.self)
        guard !served.isEmpty else { return }
        grpc(HealthService(services: served.flatMap(\.names), isReady: isReady))
        guard reflects else { return }
        // It shows itself, too.
        let nothing = ReflectionService(directory: FileDirectory([]))
        let own = RegisteredServices([nothing, AlphaReflectionService(service: nothing)]).served
        let service = ReflectionService(directory: FileDirectory(attached(ServedServices.self) + [own]))
        grpc(service, AlphaReflectionService(service: service))
    }
}
