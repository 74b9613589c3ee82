import ApusCore
import ApusHTTP
import HTTPTypes

/// Parses a complete head (RFC 9112 §2–§5) strictly: whatever two servers could interpret differently is rejected.
///
/// It makes one pass over the bytes and creates strings only for the method and the target.
enum RequestHeadParser {
    /// Parses a head.
    /// - Parameter bytes: The head from the first byte of the request line through the empty line.
    static func parse(_ bytes: Span<UInt8>, maxFields: Int) throws(RequestError) -> RequestHead {
        var position = 0
        let line = try requestLine(bytes, &position)
        let target = try self.target(bytes, line.target, line.method)
        var rules = MessageRules()
        let headers = try fields(bytes, &position, maxFields: maxFields, &rules)
        guard rules.hostCount == 1 || (line.isVersion10 && rules.hostCount == 0) else { throw .missingHost }
        return RequestHead(
            method: line.method, target: target.path, authority: target.authority, headers: headers,
            framing: try rules.framing(isVersion10: line.isVersion10), isVersion10: line.isVersion10,
            keepAlive: line.isVersion10 ? rules.hasKeepAlive && !rules.hasClose : !rules.hasClose,
            expectsContinue: rules.expectsContinue && !line.isVersion10)
    }

    /// Parses a trailer section, including its empty line.
    static func trailers(_ bytes: Span<UInt8>, maxFields: Int) throws(RequestError) -> HTTPFields {
        var position = 0
        var rules = MessageRules()
        return try fields(bytes, &position, maxFields: maxFields, &rules).fields
    }

    // MARK: Request line

    private struct RequestLine {
        let method: HTTPRequest.Method
        let target: Range<Int>
        let isVersion10: Bool
    }

    private static func requestLine(_ bytes: Span<UInt8>, _ position: inout Int) throws(RequestError) -> RequestLine {
        let methodEnd = end(of: position, bytes) { $0.isToken }
        guard methodEnd > position, methodEnd < bytes.count, bytes[methodEnd] == .space,
            let method = method(bytes, position..<methodEnd)
        else { throw try lineError(bytes, position) }
        let targetEnd = end(of: methodEnd + 1, bytes) { $0 > .space && $0 < 0x7F && $0 != UInt8(ascii: "#") }
        guard targetEnd > methodEnd + 1, targetEnd < bytes.count, bytes[targetEnd] == .space else {
            throw try lineError(bytes, position)
        }
        // The version and its line end are ten bytes: HTTP/1.1 CR LF.
        let version = targetEnd + 1
        guard bytes.count >= version + 10, bytes[version + 8] == .carriageReturn, bytes[version + 9] == .lineFeed,
            bytes[version] == UInt8(ascii: "H"), bytes[version + 1] == UInt8(ascii: "T"),
            bytes[version + 2] == UInt8(ascii: "T"), bytes[version + 3] == UInt8(ascii: "P"),
            bytes[version + 4] == UInt8(ascii: "/"), bytes[version + 5].isDigit,
            bytes[version + 6] == UInt8(ascii: "."), bytes[version + 7].isDigit
        else { throw try lineError(bytes, position) }
        let minor = bytes[version + 7]
        guard bytes[version + 5] == UInt8(ascii: "1"), minor <= UInt8(ascii: "1") else { throw .unsupportedVersion }
        position = version + 10
        return RequestLine(method: method, target: methodEnd + 1..<targetEnd, isVersion10: minor == UInt8(ascii: "0"))
    }

    /// Returns what is wrong with the request line: its line ending or its content.
    private static func lineError(_ bytes: Span<UInt8>, _ start: Int) throws(RequestError) -> RequestError {
        let feed = end(of: start, bytes) { $0 != .lineFeed }
        return feed < bytes.count && (feed == start || bytes[feed - 1] != .carriageReturn)
            ? .bareLineFeed : .malformedRequestLine
    }

    @inline(__always)
    private static func end(of start: Int, _ bytes: Span<UInt8>, while isPart: (UInt8) -> Bool) -> Int {
        var index = start
        while index < bytes.count, isPart(bytes[index]) { index += 1 }
        return index
    }

    private static func method(_ bytes: Span<UInt8>, _ range: Range<Int>) -> HTTPRequest.Method? {
        let name = bytes.extracting(range)
        switch (name.count, name[0]) {
        case (3, UInt8(ascii: "G")) where name.isEqual(to: "GET"): return .get
        case (4, UInt8(ascii: "P")) where name.isEqual(to: "POST"): return .post
        case (3, UInt8(ascii: "P")) where name.isEqual(to: "PUT"): return .put
        default: return HTTPRequest.Method(text(bytes, range))
        }
    }

    private static func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
        bytes.extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    /// Parses the target: origin form unchanged, absolute form without scheme and authority, or `*` for OPTIONS (RFC
    /// 9112 §3.2).
    private static func target(
        _ bytes: Span<UInt8>, _ range: Range<Int>, _ method: HTTPRequest.Method
    ) throws(RequestError) -> (path: String, authority: String?) {
        let text = text(bytes, range)
        if method == .connect { throw .tunnelRefused }
        if bytes[range.lowerBound] == UInt8(ascii: "/") { return (text, nil) }
        if text == "*" && method == .options { return (text, nil) }
        for scheme in ["http://", "https://"] where text.prefix(scheme.count).asciiLowercased == scheme {
            let rest = text.utf8.dropFirst(scheme.utf8.count)
            let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
            let authority = Substring(rest[..<end])
            guard authority.utf8.span.isAuthority else { throw .unsupportedTarget }
            let path = Substring(rest[end...])
            return (path.utf8.first == UInt8(ascii: "/") ? String(path) : "/" + path, String(authority))
        }
        throw .unsupportedTarget
    }

    // MARK: Fields

    /// Parses the fields, including the empty line.
    private static func fields(
        _ bytes: Span<UInt8>, _ position: inout Int, maxFields: Int, _ rules: inout MessageRules
    ) throws(RequestError) -> RequestHeaders {
        let (start, initialRules) = (position, rules)
        // 64 entries fit on the stack, where a temporary allocation takes up to 1 KiB. Errors are passed as values,
        // because the closure cannot throw a typed error.
        let small = withUnsafeTemporaryAllocation(of: FieldBytes.Entry.self, capacity: 64) { entries in
            Result { () throws(RequestError) in
                try table(bytes, &position, entries, maxFields: maxFields, &rules)
            }
        }
        if let headers = try small.get() { return headers }
        (position, rules) = (start, initialRules)
        let large = withUnsafeTemporaryAllocation(of: FieldBytes.Entry.self, capacity: maxFields) { entries in
            Result { () throws(RequestError) in
                try table(bytes, &position, entries, maxFields: maxFields, &rules)
            }
        }
        guard let headers = try large.get() else { throw .tooManyFields(limit: maxFields) }
        return headers
    }

    /// Records the position of each field, relative to the first byte of the first field.
    /// - Returns: The fields, or `nil` if there are more fields than entries.
    private static func table(
        _ bytes: Span<UInt8>, _ position: inout Int, _ entries: UnsafeMutableBufferPointer<FieldBytes.Entry>,
        maxFields: Int, _ rules: inout MessageRules
    ) throws(RequestError) -> RequestHeaders? {
        let start = position
        var count = 0
        while true {
            guard position + 1 < bytes.count else { throw .malformedField }
            if bytes[position] == .carriageReturn, bytes[position + 1] == .lineFeed { break }
            let (name, value) = try field(bytes, &position)
            guard count < maxFields else { throw .tooManyFields(limit: maxFields) }
            guard count < entries.count else { return nil }
            try rules.record(bytes, name: name, value: value)
            entries.initializeElement(
                at: count,
                to: FieldBytes.Entry(
                    name: name.lowerBound - start..<name.upperBound - start,
                    value: value.lowerBound - start..<value.upperBound - start))
            count += 1
        }
        position += 2
        return bytes.extracting(start..<position).withUnsafeBytes { section in
            RequestHeaders(
                FieldBytes(copying: UnsafeBufferPointer(rebasing: UnsafeBufferPointer(entries)[..<count]), in: section))
        }
    }

    /// Parses a field line. A line that begins with white space (obs-fold), or with white space before its colon, has
    /// no valid name.
    private static func field(
        _ bytes: Span<UInt8>, _ position: inout Int
    ) throws(RequestError) -> (name: Range<Int>, value: Range<Int>) {
        let nameStart = position
        let nameEnd = end(of: nameStart, bytes) { $0.isToken }
        guard nameEnd > nameStart, nameEnd < bytes.count, bytes[nameEnd] == .colon else {
            throw nameEnd < bytes.count && bytes[nameEnd] == .lineFeed ? .bareLineFeed : .malformedField
        }
        var valueStart = nameEnd + 1
        while valueStart < bytes.count, bytes[valueStart].isBlank { valueStart += 1 }
        let lineEnd = bytes.endOfText(from: valueStart)
        guard lineEnd + 1 < bytes.count, bytes[lineEnd] == .carriageReturn, bytes[lineEnd + 1] == .lineFeed else {
            throw lineEnd < bytes.count && bytes[lineEnd] == .lineFeed ? .bareLineFeed : .malformedField
        }
        var valueEnd = lineEnd
        while valueEnd > valueStart, bytes[valueEnd - 1].isBlank { valueEnd -= 1 }
        position = lineEnd + 2
        return (nameStart..<nameEnd, valueStart..<valueEnd)
    }
}
