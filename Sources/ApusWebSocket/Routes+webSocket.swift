import ApusCore
public import ApusHTTP
import HTTPTypes
import Logging

// WebSocket endpoints are declared like other routes and use the same middleware. If an input or middleware rejects the
// request, the client receives an ordinary HTTP response before the connection is upgraded.

extension Routes {
    /// Adds a WebSocket endpoint. The connection is closed when the handler returns. If the handler throws, the code of
    /// the error determines the close code (see `StatusCode.webSocketCloseCode`), and the reason is the message of the
    /// error or its validation failures, truncated to 123 bytes.
    @discardableResult
    public func webSocket<each Input: RequestInput>(
        _ path: String, _ input: repeat each Input, options: WebSocketOptions = WebSocketOptions(),
        file: String = #fileID, line: Int = #line,
        handler: @escaping @Sendable @concurrent (WebSocket, repeat (each Input).Value) async throws -> Void
    ) -> RouteOptions {
        add(.get, path, file: file, line: line) { request in
            let values = (repeat try await (each input).extract(from: request))
            return try WebSocketSession.upgrade(request, options) { socket in
                try await handler(socket, repeat each values)
            }
        }.describe {
            repeat (each input).describe(&$0)
            WebSocketSession.describe(&$0)
        }
    }
}

extension RouteGroup {
    /// Adds a WebSocket endpoint whose handler receives the group's value after the socket.
    @discardableResult
    public func webSocket<each Input: RequestInput>(
        _ path: String, _ input: repeat each Input, options: WebSocketOptions = WebSocketOptions(),
        file: String = #fileID, line: Int = #line,
        handler:
            @escaping @Sendable @concurrent (WebSocket, Value, repeat (each Input).Value) async throws -> Void
    ) -> RouteOptions {
        let group = self.input
        return routes.add(.get, path, file: file, line: line) { request in
            let first = try group.value(of: request)
            let values = (repeat try await (each input).extract(from: request))
            return try WebSocketSession.upgrade(request, options) { socket in
                try await handler(socket, first, repeat each values)
            }
        }.describe {
            repeat (each input).describe(&$0)
            WebSocketSession.describe(&$0)
        }
    }
}

extension NestedRouteGroup {
    /// A WebSocket endpoint that receives the values of both groups after its socket.
    @discardableResult
    public func webSocket<each Input: RequestInput>(
        _ path: String, _ input: repeat each Input, options: WebSocketOptions = WebSocketOptions(),
        file: String = #fileID, line: Int = #line,
        handler:
            @escaping @Sendable @concurrent (WebSocket, Outer, Inner, repeat (each Input).Value) async throws -> Void
    ) -> RouteOptions {
        let (outer, inner) = (self.outer, self.inner)
        return routes.add(.get, path, file: file, line: line) { request in
            let group = (try outer.value(of: request), try inner.value(of: request))
            let values = (repeat try await (each input).extract(from: request))
            return try WebSocketSession.upgrade(request, options) { socket in
                try await handler(socket, group.0, group.1, repeat each values)
            }
        }.describe {
            repeat (each input).describe(&$0)
            WebSocketSession.describe(&$0)
        }
    }
}

/// Upgrades a request to a WebSocket and runs its handler.
enum WebSocketSession {
    static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[101] = .init("Switching Protocols")
        operation.addErrorResponse(
            .init(code: 426, reasonPhrase: "Upgrade Required"), "The request is not a WebSocket handshake.")
    }

    static func upgrade(
        _ request: Request, _ options: WebSocketOptions, clock: any WallClock = SystemClock(),
        _ handler: @escaping @Sendable @concurrent (WebSocket) async throws -> Void
    ) throws -> Response {
        let headers = try Handshake.accept(request, options)
        let logger = request.context.logger
        let timeLeft = request.context.principalExpiresIn
        return .upgrade(headers: headers) { stream in
            let socket = WebSocket(stream, options, clock: clock)
            socket.onDrain { [weak socket] in
                Task { await socket?.close(.serviceRestart, reason: "The server is restarting.") }
            }
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await socket.keepAlive(
                        every: options.pingInterval, timeout: options.pongTimeout, timeLeft: timeLeft)
                }
                await withoutDeadline { await run(socket, logger, handler) }
                group.cancelAll()
            }
            socket.cancelCloseTimer()
        }
    }

    private static func run(
        _ socket: WebSocket, _ logger: Logger, _ handler: @Sendable (WebSocket) async throws -> Void
    ) async {
        do {
            try await handler(socket)
            await socket.finish(.normal, reason: "")
        } catch {
            let error = AppError(wrapping: error)
            if error.code == .internal {
                logger.error("A WebSocket handler failed.", metadata: ["error": .string(error.debugDescription)])
            }
            let code = WebSocketCloseCode(error.code.webSocketCloseCode) ?? .internalError
            await socket.finish(code, reason: closeReason(of: error))
        }
    }

    /// Returns what a close frame says of an error. It has no room for details: the first fields that are wrong say more
    /// than their number.
    private static func closeReason(of error: AppError) -> String {
        let failures = error.details.failures.prefix(3)
        guard !failures.isEmpty else { return error.message }
        return failures.map { failure in
            "\(failure.pointer.isEmpty ? "The message" : failure.pointer) \(failure.message)"
        }.joined(separator: "; ")
    }
}
