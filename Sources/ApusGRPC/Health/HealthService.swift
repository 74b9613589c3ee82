import ApusCore
import GRPCCore
import SwiftProtobuf

/// The health checking service (grpc.health.v1), for load balancers and orchestrators.
///
/// It reports the app's readiness for each service and for the server as a whole, whose name is empty.
struct HealthService: Grpc_Health_V1_Health.SimpleServiceProtocol {
    typealias Status = Grpc_Health_V1_HealthCheckResponse

    private let services: Set<String>
    private let interval: Duration
    /// The readiness check, which all watchers share.
    private let probe: ReadinessProbe

    /// - Parameters:
    ///   - services: The full names of the services.
    ///   - interval: The interval at which watchers check for changes.
    ///   - timeout: The timeout of a readiness check. A check that exceeds it counts as not ready.
    ///   - isReady: Returns whether the process can serve requests.
    init(
        services: [String], interval: Duration = .seconds(1), timeout: Duration = .seconds(5),
        isReady: @escaping @Sendable () async -> Bool
    ) {
        self.services = Set(services + [""])
        self.interval = interval
        probe = ReadinessProbe(interval: interval, timeout: timeout, isReady: isReady)
    }

    func check(request: Grpc_Health_V1_HealthCheckRequest, context: ServerContext) async throws -> Status {
        guard services.contains(request.service) else {
            throw AppError(.notFound, "Unknown service: \(request.service.prefix(256)).")
        }
        return await currentStatus
    }

    func list(
        request: Grpc_Health_V1_HealthListRequest, context: ServerContext
    ) async throws -> Grpc_Health_V1_HealthListResponse {
        let status = await currentStatus
        return .with { response in for name in services { response.statuses[name] = status } }
    }

    func watch(
        request: Grpc_Health_V1_HealthCheckRequest, response: RPCWriter<Status>, context: ServerContext
    ) async throws {
        guard services.contains(request.service) else {
            // The protocol allows for services that are added later; here the set of services is fixed at startup.
            try await response.write(.with { $0.status = .serviceUnknown })
            return try await context.cancellation.cancelled
        }
        var last: Status?
        while !context.cancellation.isCancelled {
            let status = Self.status(await probe.check())
            if status != last { try await response.write(status) }
            last = status
            try await Task.sleep(for: interval)
        }
        // The server is shutting down.
        if last?.status != .notServing { try? await response.write(.with { $0.status = .notServing }) }
    }

    private var currentStatus: Status {
        get async {
            Self.status(await probe.checkNow())
        }
    }

    private static func status(_ isReady: Bool) -> Status { .with { $0.status = isReady ? .serving : .notServing } }
}
