import HTTPTypes

/// Reads one complete header (RFC 9112 §2–§5), strictly: what two servers could read in two ways is refused.
struct RequestHeadParser {
    private let bytes: UnsafeRawBufferPointer
    private let maxFields: Int
    private var position = 0

    private static let host = HTTPField.Name("Host")!

    /// - Parameter bytes: From the first byte of the request line to the empty line, both included.
    init(_ bytes: UnsafeRawBufferPointer, maxFields: Int) {
        self.bytes = bytes
        self.maxFields = maxFields
    }

    mutating func parse() throws(HTTP1Error) -> RequestHead {
        let line = try nextLine()
        guard let firstSpace = bytes[line].firstIndex(of: .space), let lastSpace = bytes[line].lastIndex(of: .space),
            firstSpace < lastSpace
        else { throw .malformedRequestLine }
        guard let method = HTTPRequest.Method(String(decoding: bytes[line.lowerBound..<firstSpace], as: UTF8.self))
        else {
            throw .malformedRequestLine
        }
        let isVersion10 = try parseVersion(lastSpace + 1..<line.upperBound)
        let target = try parseTarget(firstSpace + 1..<lastSpace, method: method)
        let headers = try parseFields()
        let hosts = headers[values: Self.host].count
        guard hosts == 1 || (isVersion10 && hosts == 0) else { throw .missingHost }
        let options = Self.tokens(headers[.connection])
        return RequestHead(
            method: method, target: target, headers: headers,
            framing: try Self.framing(headers, isVersion10: isVersion10), isVersion10: isVersion10,
            keepAlive: isVersion10 ? options.contains("keep-alive") : !options.contains("close"),
            expectsContinue: !isVersion10 && headers[.expect]?.lowercased() == "100-continue")
    }

    /// The next line without its CR LF.
    private mutating func nextLine() throws(HTTP1Error) -> Range<Int> {
        let start = position
        guard let feed = bytes[start...].firstIndex(of: .lineFeed) else { throw .malformedField }
        guard feed > start, bytes[feed - 1] == .carriageReturn else { throw .bareLineFeed }
        position = feed + 1
        return start..<feed - 1
    }

    private func parseVersion(_ range: Range<Int>) throws(HTTP1Error) -> Bool {
        let text = String(decoding: bytes[range], as: UTF8.self)
        switch text {
        case "HTTP/1.1": return false
        case "HTTP/1.0": return true
        case _ where text.hasPrefix("HTTP/"): throw .unsupportedVersion
        default: throw .malformedRequestLine
        }
    }

    /// Origin form as it is; absolute form without scheme and authority; `*` for OPTIONS (RFC 9112 §3.2).
    private func parseTarget(_ range: Range<Int>, method: HTTPRequest.Method) throws(HTTP1Error) -> String {
        guard bytes[range].allSatisfy({ $0 > .space && $0 < 0x7F }) else { throw .malformedRequestLine }
        let text = String(decoding: bytes[range], as: UTF8.self)
        if text.hasPrefix("/") { return text }
        if text == "*" && method == .options { return text }
        for scheme in ["http://", "https://"] where text.lowercased().hasPrefix(scheme) {
            let rest = text.dropFirst(scheme.count)
            guard let end = rest.firstIndex(where: { $0 == "/" || $0 == "?" }) else { return "/" }
            return rest[end] == "/" ? String(rest[end...]) : "/" + rest[end...]
        }
        throw .unsupportedTarget
    }

    private mutating func parseFields() throws(HTTP1Error) -> HTTPFields {
        var fields = HTTPFields()
        var count = 0
        while true {
            let line = try nextLine()
            if line.isEmpty { return fields }
            count += 1
            guard count <= maxFields else { throw .tooManyFields(limit: maxFields) }
            fields.append(try parseField(line))
        }
    }

    private func parseField(_ line: Range<Int>) throws(HTTP1Error) -> HTTPField {
        // A line that begins with white space (obs-fold) has no token before its colon, and neither has one with white
        // space before the colon: the name's own check refuses both.
        guard let colon = bytes[line].firstIndex(of: .colon),
            let name = HTTPField.Name(String(decoding: bytes[line.lowerBound..<colon], as: UTF8.self)),
            !name.isPseudo
        else { throw .malformedField }
        var value = bytes[colon + 1..<line.upperBound]
        while let first = value.first, first == .space || first == .tab { value.removeFirst() }
        while let last = value.last, last == .space || last == .tab { value.removeLast() }
        guard value.allSatisfy({ ($0 >= .space && $0 != 0x7F) || $0 == .tab }) else { throw .malformedField }
        return HTTPField(name: name, value: value)
    }

    private static func framing(_ headers: HTTPFields, isVersion10: Bool) throws(HTTP1Error) -> RequestHead.Framing {
        let lengths = headers[values: .contentLength]
        let codings = headers[values: .transferEncoding]
        guard codings.isEmpty else {
            guard lengths.isEmpty else { throw .conflictingLengths }
            guard !isVersion10, codings.count == 1, codings[0].lowercased() == "chunked" else {
                throw .unsupportedTransferCoding
            }
            return .chunked
        }
        guard let text = lengths.first else { return .none }
        guard lengths.count == 1 else { throw .conflictingLengths }
        guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(text)
        else { throw .malformedContentLength }
        return length == 0 ? .none : .length(length)
    }

    /// The elements of a comma-separated list, in lower case.
    private static func tokens(_ value: String?) -> [String] {
        guard let value else { return [] }
        return value.lowercased().split { $0 == "," || $0 == " " || $0 == "\t" }.map(String.init)
    }
}

extension HTTPField.Name {
    fileprivate var isPseudo: Bool { rawName.utf8.first == .colon }
}

extension UInt8 {
    static let tab = UInt8(ascii: "\t")
    static let lineFeed = UInt8(ascii: "\n")
    static let carriageReturn = UInt8(ascii: "\r")
    static let space = UInt8(ascii: " ")
    static let colon = UInt8(ascii: ":")
    static let semicolon = UInt8(ascii: ";")
}
