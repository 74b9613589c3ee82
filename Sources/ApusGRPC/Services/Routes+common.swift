package import ApusHTTP

extension Routes {
    /// Adds the standard health and reflection services if any gRPC services are registered.
    /// - Parameters:
    ///   - reflects: Whether to add the reflection service.
    ///   - isReady: Returns whether the process can serve requests.
    package func grpcCommonServices(reflects: Bool, isReady: @escaping @Sendable () async -> Bool) {
        let served = attached(ServedServices.self)
        guard !served.isEmpty else { return }
        grpc(HealthService(services: served.flatMap(\.names), isReady: isReady))
        guard reflects else { return }
        // Reflection lists its own services, too.
        let empty = ReflectionService(directory: FileDirectory([]))
        let own = RegisteredServices([empty, AlphaReflectionService(service: empty)]).served
        let service = ReflectionService(directory: FileDirectory(attached(ServedServices.self) + [own]))
        grpc(service, AlphaReflectionService(service: service))
    }
}
