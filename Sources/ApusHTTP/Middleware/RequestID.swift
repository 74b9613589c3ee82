import ApusCore
import HTTPTypes

/// Assigns an ID to every request, which is logged and sent to the client in `X-Request-Id`.
///
/// An ID from the client is used if it consists of 1 to 64 letters, digits, `-`, `_` or `.`; any other is replaced.
public struct RequestID: Middleware {
    public init() {}

    public func handle(_ request: Request, next: Next) async -> Response {
        let id =
            request.headers[.xRequestID].flatMap { Self.isValid($0) ? $0 : nil } ?? Identifier<Request>().description
        request.context.id = id
        var response = await next(request)
        if response.headers.contains(.xRequestID) {
            response.headers[.xRequestID] = id
        } else {
            response.headers.append(HTTPField(name: .xRequestID, value: id))
        }
        return response
    }

    private static func isValid(_ id: String) -> Bool {
        (1...64).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }
}

extension HTTPField.Name {
    static let xRequestID = HTTPField.Name("X-Request-Id")!
}
