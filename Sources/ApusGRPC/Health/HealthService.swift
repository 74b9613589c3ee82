import ApusCore
import GRPCCore
import SwiftProtobuf

/// Says whether the server can serve, to balancers and orchestrators (grpc.health.v1): as the app's readiness says it, for the
/// whole server, whose name is empty, and for each of its services.
struct HealthService: Grpc_Health_V1_Health.SimpleServiceProtocol {
    typealias Status = Grpc_Health_V1_HealthCheckResponse

    private let services: Set<String>
    private let isReady: @Sendable () async -> Bool
    private let interval: Duration
    /// For those who watch.
    private let probe: ReadinessProbe

    /// - Parameters:
    ///   - services: The full names of those that are served.
    ///   - interval: How often a watcher's answer is looked at anew.
    init(services: [String], interval: Duration = .seconds(1), isReady: @escaping @Sendable () async -> Bool) {
        self.services = Set(services + [""])
        self.isReady = isReady
        self.interval = interval
        probe = ReadinessProbe(interval: interval, isReady: isReady)
    }

    func check(request: Grpc_Health_V1_HealthCheckRequest, context: ServerContext) async throws -> Status {
        guard services.contains(request.service) else {
            throw AppError(.notFound, "No service has the name \(request.service.prefix(256)).")
        }
        return await present
    }

    func list(
        request: Grpc_Health_V1_HealthListRequest, context: ServerContext
    ) async throws -> Grpc_Health_V1_HealthListResponse {
        let present = await present
        return .with { response in for name in services { response.statuses[name] = present } }
    }

    func watch(
        request: Grpc_Health_V1_HealthCheckRequest, response: RPCWriter<Status>, context: ServerContext
    ) async throws {
        guard services.contains(request.service) else {
            // It could come yet, says the protocol; here the services are those of the start.
            try await response.write(.with { $0.status = .serviceUnknown })
            return try await context.cancellation.cancelled
        }
        var last: Status?
        while !context.cancellation.isCancelled {
            let status = Self.status(await probe.ask())
            if status != last { try await response.write(status) }
            last = status
            try await Task.sleep(for: interval)
        }
        // The server stops.
        if last?.status != .notServing { try? await response.write(.with { $0.status = .notServing }) }
    }

    private var present: Status {
        get async {
            Self.status(await isReady())
        }
    }

    private static func status(_ isReady: Bool) -> Status { .with { $0.status = isReady ? .serving : .notServing } }
}
