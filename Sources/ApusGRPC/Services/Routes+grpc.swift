public import ApusHTTP
public import GRPCCore
import HTTPTypes

extension Routes {
    /// Serves gRPC services behind the middleware of this group, with one route per method.
    ///
    /// ```swift
    /// routes.group(RateLimit(limiter, .address)) { routes in
    ///     routes.grpc(OrderService(orders))
    /// }
    /// ```
    ///
    /// gRPC-Web clients are supported. Unary methods with the `google.api.http` option can also be called over HTTP with
    /// JSON. Errors are converted to statuses by ``GRPCErrorRendering``, which an app applies to all of its routes. The paths
    /// derive from the method name and the option; the group's path is not prepended.
    /// - Parameter configuration: The configuration of these services; `nil` for that of the app.
    public func grpc(
        _ services: any RegistrableRPCService..., configuration: GRPCConfiguration? = nil, file: String = #fileID,
        line: Int = #line
    ) {
        grpc(services, configuration: configuration, file: file, line: line)
    }

    package func grpc(
        _ services: [any RegistrableRPCService], configuration: GRPCConfiguration? = nil, file: String = #fileID,
        line: Int = #line
    ) {
        guard !services.isEmpty else { return }
        let configuration = configuration ?? attached(GRPCConfiguration.self).last ?? GRPCConfiguration()
        let services = RegisteredServices(services)
        attach(services.served)
        let server = CallServer(services.router)
        let shapes = MessageShapes(files: services.description.files)
        var transcoded: [TranscodedMethod] = []
        for method in services.methods {
            let path = method.fullyQualifiedMethod
            let handler = MethodHandler(
                method: method, direct: configuration.callsDirectly ? services.description.methods[path] : nil,
                server: server, configuration: configuration)
            // A client stream has no size limit as a whole; each of its messages has one.
            let isStream = method.type?.isRequestStreaming != false
            let limit = isStream ? .max : (configuration.maximumMessageBytes + MessageBytes.prefixLength) * 4 / 3 + 4
            add(.post, "/" + path, isAbsolute: true, file: file, line: line) { try await handler.respond(to: $0) }
                .bodyLimit(limit).hidden()
            guard let direct = services.description.methods[path] else { continue }
            for (_, rule) in services.description.rules.filter({ $0.method == method }) {
                transcoded.append(TranscodedMethod(rule: rule, direct: direct, handler: handler, shapes: shapes))
            }
        }
        transcode(transcoded, limit: configuration.maximumMessageBytes, file: file, line: line)
    }
}

extension RouteGroup {
    /// Serves gRPC services to calls that provide the input of this group, such as an authenticated caller. The service gets
    /// the caller from ``GRPCCore/ServerContext/principal(as:)``:
    ///
    /// ```swift
    /// routes.group(Authenticated(Customer.self)) { routes in routes.grpc(OrderService(orders)) }
    /// ```
    public func grpc(
        _ services: any RegistrableRPCService..., configuration: GRPCConfiguration? = nil, file: String = #fileID,
        line: Int = #line
    ) {
        routes.grpc(services, configuration: configuration, file: file, line: line)
    }
}
