public import ApusCore
package import HTTPTypes
import Logging
import Synchronization

/// One line a request: method, route, status and duration, under the request's id.
///
/// What is streamed has its line when it has ended, and a call of gRPC its status. The path is logged and the query is not,
/// because tokens end up in queries.
public struct AccessLog: Middleware {
    private let clock: any WallClock

    public init(clock: any WallClock = SystemClock()) { self.clock = clock }

    public func handle(_ request: Request, next: Next) async -> Response {
        let start = clock.uptime
        var response = await next(request)
        // The body of an answer to HEAD is never made.
        guard case .stream(let length, let produce) = response.body, response.upgrade == nil, request.method != .head
        else {
            Self.write(request, response, clock.uptime - start)
            return response
        }
        let line = Line { [clock, response] in Self.write(request, response, clock.uptime - start, isWhole: $0) }
        response.body = .stream(length: length) { writer in
            do {
                try await produce(writer)
                line.write(isWhole: true)
            } catch {
                line.write(isWhole: false)
                throw error
            }
        }
        return response
    }

    private static func write(_ request: Request, _ response: Response, _ duration: Duration, isWhole: Bool = true) {
        var metadata: Logger.Metadata = [
            "method": .string(request.method.rawValue),
            "path": .string(String(request.path.prefix(256))),
            "route": .string(request.context.route ?? "none"),
            "status": .stringConvertible(response.status.code),
            "duration_ms": .stringConvertible(Double(duration.microseconds) / 1000),
        ]
        if let status = grpcStatus(request, response) { metadata["grpc_status"] = .string(status.name) }
        if !isWhole { metadata["cut_off"] = .stringConvertible(true) }
        if let address = request.remoteAddress { metadata["client"] = .string(address) }
        if let principal = request.context.principal { metadata["principal"] = .string(principal.subject) }
        request.context.logger.info("request", metadata: metadata)
    }

    private static func grpcStatus(_ request: Request, _ response: Response) -> StatusCode? {
        if let code = request.context[CallStatus.self] { return code }
        guard let text = response.trailers?[.grpcStatus] ?? response.headers[.grpcStatus] else { return nil }
        return Int(text).flatMap(StatusCode.init)
    }

    /// The line of a response that is streamed: written once, also when it never began to be sent.
    private final class Line: Sendable {
        private let text: @Sendable (Bool) -> Void
        private let isWritten = Atomic(false)

        init(_ text: @escaping @Sendable (Bool) -> Void) { self.text = text }

        deinit { write(isWhole: false) }

        func write(isWhole: Bool) {
            guard !isWritten.exchange(true, ordering: .relaxed) else { return }
            text(isWhole)
        }
    }
}

/// The status of a call of gRPC, where neither a field nor a trailer of the response says it.
package enum CallStatus: RequestContextKey {
    package typealias Value = StatusCode
}

extension HTTPField.Name {
    package static let grpcStatus = HTTPField.Name("grpc-status")!
}
