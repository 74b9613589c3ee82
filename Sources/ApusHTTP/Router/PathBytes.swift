import ApusCore

/// The path of a request as bytes that a ``RouteTrie`` reads, segment by segment, for as long as a match takes.
///
/// Each segment is percent-decoded by itself, so that an encoded slash stays inside of it. Nothing else is normalised: `..`,
/// `.` and empty segments are segments like others, so that what the router sees is what was sent. One slash at the end
/// does not count.
struct PathBytes {
    /// What follows the first slash.
    private let bytes: UnsafeBufferPointer<UInt8>
    /// What stands between segments: a slash, or a byte that no text contains where segments may contain slashes.
    private let separator: UInt8
    /// Where the first segment begins; past the end for the root, which has none.
    let start: Int

    private static let decodedSeparator: UInt8 = 0xFF

    private init(_ bytes: UnsafeBufferPointer<UInt8>, separator: UInt8, isRoot: Bool) {
        self.bytes = bytes
        self.separator = separator
        start = isRoot ? bytes.count + 1 : 0
    }

    /// Whether a segment begins here.
    func hasSegment(at start: Int) -> Bool { start <= bytes.count }

    /// The segment that begins here; the next one begins one past its end.
    func segment(at start: Int) -> UnsafeBufferPointer<UInt8> {
        var end = start
        while end < bytes.count, bytes[end] != separator { end += 1 }
        return UnsafeBufferPointer(rebasing: bytes[start..<end])
    }

    /// Reads the path of a request target.
    /// - Throws: An `AppError` of code `invalidArgument` when it does not begin with a slash, or is not valid
    ///   percent-encoded UTF-8; and what the body throws.
    @inline(__always)
    static func with<Result>(_ target: String, _ body: (PathBytes) throws -> Result) throws -> Result {
        var target = target
        return try target.withUTF8 { bytes in
            guard bytes.first == UInt8(ascii: "/") else {
                throw AppError(.invalidArgument, "The request target must begin with a slash.")
            }
            var end = 1
            var isEncoded = false
            while end < bytes.count, bytes[end] != UInt8(ascii: "?") {
                if bytes[end] == UInt8(ascii: "%") { isEncoded = true }
                end += 1
            }
            let isRoot = end == 1
            if !isRoot, bytes[end - 1] == UInt8(ascii: "/") { end -= 1 }
            let path = UnsafeBufferPointer(rebasing: bytes[1..<max(1, end)])
            if !isEncoded { return try body(PathBytes(path, separator: UInt8(ascii: "/"), isRoot: isRoot)) }
            return try decode(path).withUnsafeBufferPointer {
                try body(PathBytes($0, separator: decodedSeparator, isRoot: isRoot))
            }
        }
    }

    private static func decode(_ path: UnsafeBufferPointer<UInt8>) throws -> [UInt8] {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(path.count)
        for segment in path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard let text = PercentEncoding.decode(Substring(decoding: segment, as: UTF8.self)) else {
                throw AppError(.invalidArgument, "The path is not valid percent-encoded UTF-8.")
            }
            decoded.append(contentsOf: text.utf8)
            decoded.append(decodedSeparator)
        }
        decoded.removeLast()
        return decoded
    }
}
