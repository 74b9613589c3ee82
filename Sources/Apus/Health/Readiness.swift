import ApusCore
import ApusData
import ApusHTTP
import HTTPTypes
import Synchronization

/// The health endpoints: `GET /health/live` reports whether the process runs, `GET /health/ready` whether it can serve
/// requests. What the processes share may be away: everything goes on with less, so the process is degraded, not unready.
package final class Readiness: Sendable {
    /// The paths of health checks, which the server handles even when it is at its request limit.
    static let paths: Set<String> = [
        "/health/live", "/health/ready", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List",
    ]

    private let database: (any Database)?
    private let shared: (any SharedState)?
    private let stopping = Atomic(false)

    /// How long the check waits for what the processes share.
    private static let patience = Duration.milliseconds(500)

    init(database: (any Database)?, shared: (any SharedState)?) {
        self.database = database
        self.shared = shared
    }

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
        guard let shared else { return HealthReport(status: "ok") }
        do {
            try await withDeadline(.after(Self.patience)) { try await shared.checkHealth() }
            return HealthReport(status: "ok")
        } catch {
            try Task.checkCancellation()
            return HealthReport(status: "degraded", unavailable: [shared.name])
        }
    }
}

private struct HealthReport: Codable, ResponseConvertible {
    /// `ok`, or `degraded` if something is missing that the process can do without.
    let status: String
    /// What is missing.
    var unavailable: [String]?
}
