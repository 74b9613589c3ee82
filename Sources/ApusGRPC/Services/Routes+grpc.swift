public import ApusHTTP
public import GRPCCore
import HTTPTypes

extension Routes {
    /// Serves gRPC services here, behind the middleware of this group: a route for each of their methods.
    ///
    /// ```swift
    /// routes.group(RateLimit(limiter, .address)) { routes in
    ///     routes.grpc(OrderService(orders))
    /// }
    /// ```
    ///
    /// Methods of one message each way whose `google.api.http` option says so are called over HTTP with JSON, too. Clients of
    /// gRPC-Web are answered too. Errors become statuses by ``GRPCErrorRendering``, which an app has around all of
    /// its routes. The path of a method is what gRPC makes of its name, and what its option says, whatever the path of the
    /// group is.
    /// - Parameter configuration: How calls are answered; `nil` for the app's way.
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
            // A stream of messages has no end of its own; each message has its limit.
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
    /// Serves gRPC services to calls that have the input of this group, such as who is calling, whom the service then finds by
    /// ``GRPCCore/ServerContext/principal(as:)``:
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
