public import ApusCore
import HTTPTypes
import Logging

/// One line a request: method, route, status and duration, under the request's id.
///
/// The path is logged and the query is not, because tokens end up in queries.
public struct AccessLog: Middleware {
    private let clock: any WallClock

    public init(clock: any WallClock = SystemClock()) { self.clock = clock }

    public func handle(_ request: Request, next: Handler) async throws -> Response {
        let start = clock.uptime
        let response = try await next(request)
        var metadata: Logger.Metadata = [
            "method": .string(request.method.rawValue),
            "path": .string(String(request.path.prefix(256))),
            "route": .string(request.context.route ?? "none"),
            "status": .stringConvertible(response.status.code),
            "duration_ms": .stringConvertible(Double((clock.uptime - start).microseconds) / 1000),
        ]
        if let address = request.remoteAddress { metadata["client"] = .string(address) }
        if let principal = request.context.principal { metadata["principal"] = .string(principal.subject) }
        request.context.logger.info("request", metadata: metadata)
        return response
    }
}
