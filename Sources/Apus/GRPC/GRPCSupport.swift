import ApusHTTP

#if GRPC
    import ApusGRPC
#endif

/// The part of every app that gRPC adds. Without the package trait `GRPC`, it adds nothing.
struct GRPCSupport {
    #if GRPC
        private let configuration: GRPCConfiguration
        /// Whether gRPC reflection is available.
        private let reflects: Bool

        init(_ settings: Settings, name: String) {
            var configuration = GRPCConfiguration()
            configuration.domain = name
            configuration.maximumMessageBytes = settings.int(
                "grpc.message-bytes", default: configuration.maximumMessageBytes, in: 0...1 << 31)
            configuration.compressesMessages = settings.bool("grpc.compression", default: false)
            self.configuration = configuration
            reflects = settings.bool("grpc.reflection", default: settings.environment == "development")
        }

        var middleware: [any Middleware] { [GRPCErrorRendering(domain: configuration.domain)] }
        /// The middleware around `CORS`.
        var crossOriginMiddleware: [any Middleware] { [GRPCWebMetadataExposure()] }

        /// Makes the configuration known to the services that routes declare.
        func configure(_ routes: Routes) { routes.attach(configuration) }

        func addServices(
            of builder: AppBuilder, _ container: Container, _ readiness: Readiness, to routes: Routes
        ) throws {
            routes.grpc(try builder.grpc.build(container))
            routes.grpcCommonServices(reflects: reflects) { await readiness.isReady }
        }
    #else
        init(_ settings: Settings, name: String) {}

        var middleware: [any Middleware] { [] }
        var crossOriginMiddleware: [any Middleware] { [] }

        func configure(_ routes: Routes) {}

        func addServices(
            of builder: AppBuilder, _ container: Container, _ readiness: Readiness, to routes: Routes
        ) throws {}
    #endif
}
