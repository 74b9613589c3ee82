import ApusCore

/// The path of a request as bytes, which a ``RouteTrie`` reads segment by segment. It is valid only during a match.
///
/// Each segment is percent-decoded separately, so an encoded slash remains part of its segment. Nothing else is
/// normalized: `..`, `.` and empty segments are ordinary segments, so the router sees what was sent. One trailing slash
/// is ignored.
struct PathBytes {
    /// The bytes after the first slash.
    private let bytes: UnsafeBufferPointer<UInt8>
    /// The byte between segments: a slash or, if segments may contain slashes, a byte that UTF-8 never contains.
    private let separator: UInt8
    /// The position of the first segment; past the end for the root, which has none.
    let start: Int

    private static let decodedSeparator: UInt8 = 0xFF

    private init(_ bytes: UnsafeBufferPointer<UInt8>, separator: UInt8, isRoot: Bool) {
        self.bytes = bytes
        self.separator = separator
        start = isRoot ? bytes.count + 1 : 0
    }

    /// Returns whether a segment begins at a position.
    func hasSegment(at start: Int) -> Bool { start <= bytes.count }

    /// Returns the segment that begins at a position. The next segment begins one byte after its end.
    func segment(at start: Int) -> UnsafeBufferPointer<UInt8> {
        var end = start
        while end < bytes.count, bytes[end] != separator { end += 1 }
        return UnsafeBufferPointer(rebasing: bytes[start..<end])
    }

    /// Calls a closure with the path of a request target.
    /// - Throws: An `AppError` of code `invalidArgument` if the target does not begin with a slash or its path is not
    ///   valid percent-encoded UTF-8, or an error of the closure.
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
