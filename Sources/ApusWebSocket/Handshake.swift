import ApusCore
import ApusHTTP
import Crypto
import FoundationEssentials
import HTTPTypes

/// The opening handshake of RFC 6455 §4.2.
enum Handshake {
    /// Returns the header fields of the 101 response, or of the 200 response in HTTP/2.
    /// - Throws: An `AppError` if the request is not a valid WebSocket handshake or its origin is not allowed.
    static func accept(_ request: Request, _ options: WebSocketOptions) throws -> HTTPFields {
        guard request.method == .get, request.headers[.secWebSocketVersion] == "13" else { throw upgradeRequired }
        var fields = HTTPFields()
        if let connectProtocol = request.context.connectProtocol {
            // Extended CONNECT in HTTP/2 does not use Sec-WebSocket-Key and Sec-WebSocket-Accept (RFC 8441 §5).
            guard connectProtocol == "websocket" else { throw upgradeRequired }
        } else {
            fields = try acceptUpgrade(request)
        }
        try checkOrigin(request, options.origins)
        let offered = tokens(request, .secWebSocketProtocol, lowercased: false)
        if let chosen = options.subprotocols.first(where: offered.containsExactly) {
            fields[.secWebSocketProtocol] = chosen
        }
        return fields
    }

    private static func acceptUpgrade(_ request: Request) throws -> HTTPFields {
        guard tokens(request, .upgrade).contains("websocket"), tokens(request, .connection).contains("upgrade") else {
            throw upgradeRequired
        }
        guard let key = request.headers[.secWebSocketKey], Data(base64Encoded: key)?.count == 16 else {
            throw AppError(.invalidArgument, "Sec-WebSocket-Key must be 16 bytes, encoded in base64.")
        }
        return [.upgrade: "websocket", .secWebSocketAccept: accept(key: key)]
    }

    static func accept(key: String) -> String {
        let digest = Insecure.SHA1.hash(data: Data((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Data(digest).base64EncodedString()
    }

    private static var upgradeRequired: AppError {
        var error = AppError(
            .failedPrecondition, "This endpoint requires a WebSocket handshake, version 13.",
            reason: .upgradeRequired)
        error.details.metadata["upgrade"] = "websocket"
        error.details.metadata["sec-websocket-version"] = "13"
        return error
    }

    private static func checkOrigin(_ request: Request, _ origins: WebSocketOptions.Origins) throws {
        guard let origin = request.headers[.origin] else { return }
        let isAllowed =
            switch origins {
            case .any: true
            case .only(let allowed): allowed.containsExactly(origin)
            case .sameOrigin: WebOrigin(origin)?.isTarget(of: request) ?? false
            }
        guard isAllowed else {
            throw AppError(.permissionDenied, "The origin \"\(origin.prefix(128))\" may not connect to this endpoint.")
        }
    }

    private static func tokens(_ request: Request, _ name: HTTPField.Name, lowercased: Bool = true) -> [String] {
        let text = request.headers[name] ?? ""
        return (lowercased ? text.asciiLowercased : text).split(at: ",").map { String($0.trimmed) }
    }
}
