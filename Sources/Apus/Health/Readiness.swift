import ApusCore
import ApusData
import ApusHTTP
import HTTPTypes
import Synchronization

/// The health endpoints: `GET /health/live` reports whether the process runs, `GET /health/ready` whether it can serve
/// requests.
package final class Readiness: Sendable {
    /// The paths of health checks, which the server handles even when it is at its request limit.
    static let paths: Set<String> = [
        "/health/live", "/health/ready", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List",
    ]

    private let database: (any Database)?
    private let stopping = Atomic(false)

    init(database: (any Database)?) { self.database = database }

    /// Reports the process as not ready from now on. This is the first step of a shutdown.
    package func stop() { stopping.store(true, ordering: .relaxed) }

    func addRoutes(to routes: Routes) {
        routes.get("health/live") { HealthReport(status: "ok") }.summary("Check that the process is alive.")
        routes.get("health/ready") { try await self.check() }.summary("Check that the process can serve requests.")
            .errorResponse(.serviceUnavailable, "The process is stopping or its database is unavailable.")
    }

    /// Whether the process can serve requests.
    package var isReady: Bool { get async { (try? await check()) != nil } }

    private func check() async throws -> HealthReport {
        guard !stopping.load(ordering: .relaxed) else { throw AppError(.unavailable, "The server is shutting down.") }
        try await database?.checkHealth()
        return HealthReport(status: "ok")
    }
}

private struct HealthReport: Codable, ResponseConvertible {
    let status: String
}
