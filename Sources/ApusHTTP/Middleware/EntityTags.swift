import ApusCore
import Crypto
import HTTPTypes
import NIOCore

/// Adds an `ETag`, a hash of the body, to responses to `GET` whose body is in memory, and responds with 304 if the
/// client already has the body.
///
/// It saves bandwidth, not work: the handler still runs. List it after ``Compression``, so that tags are computed from
/// the body that the handler returned.
public struct EntityTags: Middleware {
    private let maximumLength: Int

    /// Creates the middleware.
    /// - Parameter maximumLength: The maximum size of a body for which a tag is computed, in bytes. 1 MiB by default.
    public init(maximumLength: Int = 1 << 20) { self.maximumLength = maximumLength }

    public func handle(_ request: Request, next: Next) async -> Response {
        var response = await next(request)
        guard request.method == .get || request.method == .head, response.status == .ok,
            response.headers[.eTag] == nil, !isStorageForbidden(response),
            let bytes = response.body.buffer, (1...maximumLength).contains(bytes.readableBytes)
        else { return response }
        var hash = SHA256()
        bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        let digest = hash.finalize().prefix(12).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        // Weak: the tag identifies the handler's response regardless of its content coding.
        let tag = EntityTag(digest, isWeak: true)
        response.headers[.eTag] = tag.description
        guard case .notModified = Preconditions.evaluate(request, tag: tag, lastModified: nil) else { return response }
        return .notModified(headers: response.headers, length: bytes.readableBytes)
    }

    private func isStorageForbidden(_ response: Response) -> Bool {
        guard let field = response.headers[.cacheControl] else { return false }
        return FieldList.elements(field).contains { $0.asciiLowercased == "no-store" }
    }
}
