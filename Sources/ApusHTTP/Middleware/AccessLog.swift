public import ApusCore
package import HTTPTypes
import Logging
import Synchronization

/// Logs one line per request: method, route, status and duration, with the request ID.
///
/// A streamed response is logged when its stream has ended, and a gRPC call is logged with its status. The path is
/// logged but not the query, because queries may contain tokens.
public struct AccessLog: Middleware {
    private let clock: any WallClock

    public init(clock: any WallClock = SystemClock()) { self.clock = clock }

    public func handle(_ request: Request, next: Next) async -> Response {
        let start = clock.uptime
        var response = await next(request)
        // The body of a response to HEAD is never produced.
        guard case .stream(let length, let produce) = response.body, response.upgrade == nil, request.method != .head
        else {
            Self.write(request, response, clock.uptime - start)
            return response
        }
        let line = Line { [clock, response] in Self.write(request, response, clock.uptime - start, isComplete: $0) }
        response.body = .stream(length: length) { writer in
            do {
                try await produce(writer)
                line.write(isComplete: true)
            } catch {
                line.write(isComplete: false)
                throw error
            }
        }
        return response
    }

    private static func write(_ request: Request, _ response: Response, _ duration: Duration, isComplete: Bool = true) {
        var metadata: Logger.Metadata = [
            "method": .string(request.method.rawValue),
            "path": .string(String(request.path.prefix(256))),
            "route": .string(request.context.route ?? "none"),
            "status": .stringConvertible(response.status.code),
            "duration_ms": .stringConvertible(Double(duration.microseconds) / 1000),
        ]
        if let status = grpcStatus(request, response) { metadata["grpc_status"] = .string(status.name) }
        if !isComplete { metadata["cut_off"] = .stringConvertible(true) }
        if let address = request.remoteAddress { metadata["client"] = .string(address) }
        if let principal = request.context.principal { metadata["principal"] = .string(principal.subject) }
        request.context.logger.info("request", metadata: metadata)
    }

    private static func grpcStatus(_ request: Request, _ response: Response) -> StatusCode? {
        if let code = request.context[CallStatus.self] { return code }
        guard let text = response.trailers?[.grpcStatus] ?? response.headers[.grpcStatus] else { return nil }
        return Int(text).flatMap(StatusCode.init)
    }

    /// The log line of a streamed response, written exactly once, even if sending never begins.
    private final class Line: Sendable {
        private let log: @Sendable (_ isComplete: Bool) -> Void
        private let isWritten = Atomic(false)

        init(_ log: @escaping @Sendable (_ isComplete: Bool) -> Void) { self.log = log }

        deinit { write(isComplete: false) }

        func write(isComplete: Bool) {
            guard !isWritten.exchange(true, ordering: .relaxed) else { return }
            log(isComplete)
        }
    }
}

/// The status of a gRPC call, if it is neither in a header field nor in a trailer of the response.
package enum CallStatus: RequestContextKey {
    package typealias Value = StatusCode
}

extension HTTPField.Name {
    package static let grpcStatus = HTTPField.Name("grpc-status")!
}
