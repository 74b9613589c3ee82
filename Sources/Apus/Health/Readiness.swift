import ApusCore
import ApusData
import ApusHTTP
import HTTPTypes
import Synchronization

/// Whether this process wants traffic: `GET /health/live` says that it runs, `GET /health/ready` that it can serve.
package final class Readiness: Sendable {
    /// Where it is asked for, to be answered however busy the server is.
    static let paths: Set<String> = [
        "/health/live", "/health/ready", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List",
    ]

    private let database: (any Database)?
    private let stopping = Atomic(false)

    init(database: (any Database)?) { self.database = database }

    /// Not ready any more: the first step of stopping.
    package func stop() { stopping.store(true, ordering: .relaxed) }

    func addRoutes(to routes: Routes) {
        routes.get("health/live") { HealthReport(status: "ok") }.summary("Whether the process runs.")
        routes.get("health/ready") { try await self.check() }.summary("Whether the process can serve.")
            .mayFail(.serviceUnavailable, "It cannot, now.")
    }

    /// Whether it can serve.
    package var isReady: Bool { get async { (try? await check()) != nil } }

    private func check() async throws -> HealthReport {
        guard !stopping.load(ordering: .relaxed) else { throw AppError(.unavailable, "The server is stopping.") }
        if let database { _ = try await database.query("SELECT 1") }
        return HealthReport(status: "ok")
    }
}

private struct HealthReport: Codable, ResponseConvertible {
    let status: String
}
