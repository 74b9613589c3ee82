import Apus
import ApusServer
import ServiceLifecycle
import UnixSignals

/// The server for `Benchmarks/run` and side-by-side measurements. It has small routes, uses only the public API and
/// does not log.
///
///     bench-server --port 8080 [--threads N] [--grpc-core] [--database URL]
@main
struct BenchServer {
    static func main() async throws {
        let options = try Options(CommandLine.arguments.dropFirst())
        let routes = Routes()
        BenchRoutes.declare(on: routes)
        EchoService.declare(on: routes, usesGRPCCore: options.usesGRPCCore)
        let database = try options.database.map(openDatabase)
        if let database { DatabaseRoutes.declare(on: routes, database) }
        let router = try Router(routes)
        let configuration = Server.Configuration(port: options.port, threads: options.threads)
        let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        let server = Server(configuration, logger: logger) {
            addresses in
            print("listening on \(addresses.map(\.description).joined(separator: ", "))")
        } handler: { request in
            await router.respond(to: request)
        }
        let group = ServiceGroup(services: [server], gracefulShutdownSignals: [.sigterm], logger: logger)
        try await group.run()
        await database?.close()
    }
}
