import ApusCore
public import ApusHTTP
import HTTPTypes

/// Lets pages of other origins read the metadata of their gRPC-Web calls, by adding its names to
/// `Access-Control-Expose-Headers` (Fetch standard).
///
/// It belongs around `CORS`, which decides whether a page may read a response at all. An app with `cors.origins` has it;
/// a group with a `CORS` of its own needs it as well:
///
/// ```swift
/// routes.group(GRPCWebMetadataExposure(), CORS(origins: .only(origins))) { routes in routes.grpc(service) }
/// ```
public struct GRPCWebMetadataExposure: Middleware {
    public init() {}

    public func handle(_ request: Request, next: Next) async -> Response {
        var response = await next(request)
        guard request.headers.contains(.origin), response.headers.contains(.accessControlAllowOrigin),
            let type = response.headers[.contentType], let format = WireFormat(contentType: type), format != .grpc
        else { return response }
        let exposed = response.headers[.accessControlExposeHeaders] ?? ""
        if response.defersHead {
            // The metadata of a stream is not known yet.
            request.context[ExposedFields.self] = exposed
        } else {
            response.headers = response.headers.exposing(besides: exposed)
        }
        return response
    }
}

/// The value of `Access-Control-Expose-Headers`, for the head of a stream that will be sent later.
enum ExposedFields: RequestContextKey {
    typealias Value = String
}

extension HTTPFields {
    /// Returns the fields with `Access-Control-Expose-Headers`, which lists them.
    /// - Parameter exposed: The names that it lists already.
    func exposing(besides exposed: String) -> HTTPFields {
        var names = exposed.split(at: ",").map { String($0.trimmed) }
        for field in self where field.name.needsExposure {
            let isExposed = names.contains { $0.asciiLowercased.isExactly(field.name.canonicalName) }
            if !isExposed { names.append(field.name.canonicalName) }
        }
        var fields = self
        fields[.accessControlExposeHeaders] = names.isEmpty ? nil : names.joined(separator: ", ")
        return fields
    }
}

extension HTTPField.Name {
    /// Whether pages read the field only if it is exposed, and may read it then.
    fileprivate var needsExposure: Bool {
        switch canonicalName {
        case "content-type", "content-length", "vary", "set-cookie": false
        default: !canonicalName.hasPrefix("access-control-")
        }
    }
}
