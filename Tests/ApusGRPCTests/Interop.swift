import Apus
import ApusCore
import ApusGRPC
import ApusGRPCClient
import ApusHTTP
import ApusTesting
import GRPCCore
import HTTPTypes
import InteropService
import NIOCore
import SwiftProtobuf

typealias InteropClient = Apus_Test_Interop.Client<ChannelTransport>
typealias Empty = InteropService.Empty

/// The interop service behind the middleware of a test.
struct InteropModule: Module {
    var service = InteropService()
    var configuration = GRPCConfiguration()
    var middleware: [any Middleware] = []

    func configure(_ app: inout AppBuilder) {
        for middleware in middleware { app.middleware.add { _ in middleware } }
        app.routes { routes in
            routes.grpc(service, configuration: configuration)
            routes.get("hello") { "hello" }
        }
    }
}

/// The path that calls take through the server. Both must behave the same.
enum CallPath: CaseIterable {
    /// Unary calls go directly to the service's method.
    case direct
    /// All calls go through GRPCCore.
    case core

    var configuration: GRPCConfiguration {
        var configuration = GRPCConfiguration()
        configuration.domain = "interop"
        configuration.callsDirectly = self == .direct
        return configuration
    }
}

/// Runs a body with a client that is connected to a server with the given module.
func withInterop<Result: Sendable>(
    _ module: InteropModule, _ configuration: GRPCChannel.Configuration = .init(), settings: [String: String] = [:],
    _ body: @escaping @Sendable (InteropClient, TestApp) async throws -> Result
) async throws -> Result {
    try await App("interop") { module }.test(.socket, settings: settings) { app in
        try await withChannel(to: app, configuration) { try await body(InteropClient(wrapping: $0.client), app) }
    }
}

func withInterop<Result: Sendable>(
    _ path: CallPath, _ body: @escaping @Sendable (InteropClient, TestApp) async throws -> Result
) async throws -> Result {
    try await withInterop(InteropModule(configuration: path.configuration), .init(), body)
}

func withChannel<Result: Sendable>(
    to app: TestApp, _ configuration: GRPCChannel.Configuration = .init(),
    _ body: @escaping @Sendable (GRPCChannel) async throws -> Result
) async throws -> Result {
    try await run(GRPCChannel("http://127.0.0.1:\(app.port ?? 0)", configuration), body)
}

/// Runs a body while a channel is connected.
func run<Result: Sendable>(
    _ channel: GRPCChannel, _ body: @escaping @Sendable (GRPCChannel) async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await channel.run() }
        let result = try await body(channel)
        channel.client.beginGracefulShutdown()
        try await group.waitForAll()
        return result
    }
}

extension Apus_Test_OutputRequest {
    static func sizes(_ sizes: Int32...) -> Self {
        .with { $0.responseParameters = sizes.map { size in .with { $0.size = size } } }
    }
}
