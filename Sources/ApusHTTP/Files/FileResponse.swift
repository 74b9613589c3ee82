import ApusCore
import ApusJSON
import HTTPTypes
import NIOCore

/// A response that sends a file. It supports entity tags, conditional requests, ranges and caching (RFC 9110 §13 and §14,
/// RFC 9111).
///
/// ```swift
/// routes.get("report") { try await FileResponse("reports/today.pdf", cacheControl: "private, max-age=60") }
/// ```
public struct FileResponse: ResponseConvertible {
    private let file: OpenFile
    private let size: Int
    private let tag: EntityTag
    /// The time of the last modification, in seconds since 1970.
    private let lastModified: Int
    private let headers: HTTPFields

    /// Opens a file. If the file is replaced while it is sent, the opened file is sent.
    /// - Parameters:
    ///   - path: The path of the file. Never derive it from client input; use `Routes.files` for that.
    ///   - contentType: The media type. If `nil`, it is derived from the file extension.
    ///   - cacheControl: The `Cache-Control` field. By default, caches store the file and revalidate it for every request.
    ///   - downloadName: The name under which a browser saves the file instead of displaying it; `nil` to display it.
    /// - Throws: An `AppError` with code `notFound` if the file does not exist, is not readable or is not a regular file.
    public init(
        _ path: String, contentType: String? = nil, cacheControl: String = "no-cache", downloadName: String? = nil
    ) async throws {
        try await self.init(
            named: path, contentType: contentType, cacheControl: cacheControl, downloadName: downloadName
        ) { try await .forReading(path) }
    }

    /// Creates a response with a file that a closure opens.
    /// - Parameter path: The name or the path of the file, from which the media type is derived.
    init(
        named path: String, contentType: String? = nil, cacheControl: String, downloadName: String? = nil,
        open: () async throws -> OpenFile
    ) async throws {
        do {
            file = try await open()
            let information = try await file.information()
            guard information.isRegular else { throw AppError(.notFound, "File not found.") }
            size = information.size
            let state =
                [information.inode, UInt64(bitPattern: Int64(information.size))]
                + [UInt64(bitPattern: Int64(information.seconds)), UInt64(bitPattern: Int64(information.nanoseconds))]
            tag = EntityTag(state.map { String($0, radix: 36) }.joined(separator: "-"))
            lastModified = information.seconds
        } catch let failure as OpenFile.Failure where failure.isMissing || failure.isForbidden {
            throw AppError(.notFound, "File not found.", cause: failure)
        }
        var headers: HTTPFields = [
            .contentType: contentType ?? Self.contentType(of: path), .cacheControl: cacheControl,
            .acceptRanges: "bytes", .eTag: tag.description,
            .lastModified: HTTPDate.format(secondsSince1970: lastModified),
        ]
        if let downloadName { headers[.contentDisposition] = Self.attachment(downloadName) }
        self.headers = headers
    }

    public func response(to request: Request) -> Response {
        switch Preconditions.evaluate(request, tag: tag, lastModified: lastModified) {
        case .notModified:
            return .notModified(headers: headers, length: size)
        case .failed:
            return Response(
                error: AppError(
                    .failedPrecondition, "The file does not match the preconditions of the request.",
                    reason: .preconditionFailed))
        case .proceed: break
        }
        let mustSendAll = !Preconditions.allowsRange(request, tag: tag, lastModified: lastModified)
        switch ByteRanges(request.method == .get && !mustSendAll ? request.headers[.range] : nil, size: size) {
        case .all: return Response(status: .ok, headers: headers, body: body([0..<size]))
        case .some(let ranges) where ranges.count == 1: return part(ranges[0])
        case .some(let ranges): return parts(ranges)
        case .unsatisfiable:
            var headers = headers
            headers[.contentType] = nil
            headers[.contentRange] = "bytes */\(size)"
            return Response(status: .rangeNotSatisfiable, headers: headers)
        }
    }

    private func part(_ range: Range<Int>) -> Response {
        var headers = headers
        headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
        return Response(status: .partialContent, headers: headers, body: body([range]))
    }

    /// Returns a `multipart/byteranges` response (RFC 9110 §14.6).
    private func parts(_ ranges: [Range<Int>]) -> Response {
        let boundary = Identifier<FileResponse>().description
        let type = headers[.contentType] ?? "application/octet-stream"
        let heads = ranges.map { range in
            "\r\n--\(boundary)\r\nContent-Type: \(type)\r\n"
                + "Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)\r\n\r\n"
        }
        let end = "\r\n--\(boundary)--\r\n"
        var headers = headers
        headers[.contentType] = "multipart/byteranges; boundary=\(boundary)"
        return Response(status: .partialContent, headers: headers, body: body(ranges, heads: heads, end: end))
    }

    private func body(_ ranges: [Range<Int>], heads: [String] = [], end: String = "") -> ResponseBody {
        let length = ranges.reduce(0) { $0 + $1.count } + heads.reduce(end.utf8.count) { $0 + $1.utf8.count }
        guard length > 0 else { return .empty }
        return .stream(length: length) { [file] writer in
            for (index, range) in ranges.enumerated() {
                if !heads.isEmpty { try await writer.write(heads[index]) }
                var offset = range.lowerBound
                while offset < range.upperBound {
                    let piece = try await file.read(from: offset, count: min(range.upperBound - offset, Self.block))
                    guard piece.readableBytes > 0 else {
                        throw AppError(.internal, "The file was truncated while it was sent.")
                    }
                    try await writer.write(piece)
                    offset += piece.readableBytes
                }
            }
            if !end.isEmpty { try await writer.write(end) }
        }
    }

    /// The maximum number of bytes that are read at once.
    private static let block = 128 << 10

    /// Returns a `Content-Disposition` field (RFC 6266) with the name in UTF-8 (RFC 8187), and in ASCII for clients that do not
    /// support it.
    static func attachment(_ name: String) -> String {
        let plain = String(
            name.unicodeScalars.map {
                $0.isASCII && $0.value >= 32 && !"\"\\\u{7F}".unicodeScalars.contains($0) ? Character($0) : "_"
            })
        let encoded = PercentEncoding.encode(name)
        return encoded == plain
            ? "attachment; filename=\"\(plain)\"" : "attachment; filename=\"\(plain)\"; filename*=UTF-8''\(encoded)"
    }

    static func contentType(of path: String) -> String {
        let parts = (path.split(at: "/").last ?? "").split(at: ".", omittingEmpty: false)
        guard parts.count > 1, let type = parts.last.map(\.asciiLowercased) else { return "application/octet-stream" }
        return types[type] ?? "application/octet-stream"
    }

    private static let types = [
        "aac": "audio/aac", "avif": "image/avif", "bmp": "image/bmp", "css": "text/css; charset=utf-8",
        "csv": "text/csv; charset=utf-8", "gif": "image/gif", "gz": "application/gzip",
        "htm": "text/html; charset=utf-8", "html": "text/html; charset=utf-8", "ico": "image/x-icon",
        "ics": "text/calendar; charset=utf-8", "jpeg": "image/jpeg", "jpg": "image/jpeg",
        "js": "text/javascript; charset=utf-8", "json": "application/json", "map": "application/json",
        "md": "text/markdown; charset=utf-8", "mjs": "text/javascript; charset=utf-8", "mp3": "audio/mpeg",
        "mp4": "video/mp4", "ogg": "audio/ogg", "otf": "font/otf", "pdf": "application/pdf", "png": "image/png",
        "svg": "image/svg+xml", "tar": "application/x-tar", "ttf": "font/ttf", "txt": "text/plain; charset=utf-8",
        "wasm": "application/wasm", "wav": "audio/wav", "webm": "video/webm",
        "webmanifest": "application/manifest+json",
        "webp": "image/webp", "woff": "font/woff", "woff2": "font/woff2", "xml": "application/xml",
        "zip": "application/zip",
    ]

    public static func describe(_ operation: inout OpenAPI.Operation) {
        let bytes = OpenAPI.Content(["*/*": .literal(["type": "string", "format": "binary"])])
        operation.responses[200] = .init("The file.", content: bytes, headers: ["ETag": "The entity tag of the file."])
        operation.responses[206] = .init(
            "The requested part of the file.", content: bytes, headers: ["Content-Range": "The range of the part."])
        operation.responses[304] = .init("The file has not changed.")
        operation.addErrorResponse(.preconditionFailed, "The file does not match the preconditions of the request.")
        operation.responses[416] = .init("The requested range is outside of the file.")
    }
}
