import Crypto
import HTTPTypes
import NIOCore

/// Gives every `GET` whose body is at hand an `ETag` made of its bytes, and answers 304 when the client has them already.
///
/// It spares the way back, not the work: the handler runs. Behind ``Compression``, which must see the body first, so that
/// tags name what the handler said.
public struct EntityTags: Middleware {
    private let maximumLength: Int

    /// - Parameter maximumLength: Bytes of a body that is not worth it any more. 1 MiB.
    public init(maximumLength: Int = 1 << 20) { self.maximumLength = maximumLength }

    public func handle(_ request: Request, next: Next) async -> Response {
        var response = await next(request)
        guard request.method == .get || request.method == .head, response.status == .ok,
            response.headers[.eTag] == nil, response.headers[.cacheControl]?.contains("no-store") != true,
            let bytes = response.body.buffer, (1...maximumLength).contains(bytes.readableBytes)
        else { return response }
        var hash = SHA256()
        bytes.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        let digest = hash.finalize().prefix(12).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        // Weak: it says what the handler answered, not in which content coding it went out.
        let tag = EntityTag(digest, isWeak: true)
        response.headers[.eTag] = tag.description
        guard case .notModified = Preconditions.evaluate(request, tag: tag, lastModified: nil) else { return response }
        return .notModified(headers: response.headers, length: bytes.readableBytes)
    }
}
