/// The fields that determine how a message is processed (RFC 9112 §3.2, §6, §9.3), collected while they are parsed.
struct MessageRules {
    private(set) var hostCount = 0
    private(set) var hasClose = false
    private(set) var hasKeepAlive = false
    private(set) var expectsContinue = false
    private var lengthCount = 0
    private var length = 0
    private var codingCount = 0
    private var isChunked = false

    mutating func record(_ bytes: Span<UInt8>, name: Range<Int>, value: Range<Int>) throws(RequestError) {
        let name = bytes.extracting(name)
        switch name.count {
        case 4 where name.isEqual(toLowercase: "host"):
            hostCount += 1
            // Empty if the target has no authority (RFC 9112 §3.2).
            guard value.isEmpty || bytes.extracting(value).isAuthority else { throw .malformedHost }
        case 6 where name.isEqual(toLowercase: "expect"):
            guard bytes.extracting(value).isEqual(toLowercase: "100-continue") else { throw .unknownExpectation }
            expectsContinue = true
        case 10 where name.isEqual(toLowercase: "connection"): recordConnection(bytes, value)
        case 14 where name.isEqual(toLowercase: "content-length"):
            lengthCount += 1
            guard let length = ContentLength.parse(bytes.extracting(value)) else { throw .malformedContentLength }
            self.length = length
        case 17 where name.isEqual(toLowercase: "transfer-encoding"):
            codingCount += 1
            isChunked = bytes.extracting(value).isEqual(toLowercase: "chunked")
        default: break
        }
    }

    /// Records the connection options, a comma-separated list.
    private mutating func recordConnection(_ bytes: Span<UInt8>, _ value: Range<Int>) {
        var start = value.lowerBound
        while start < value.upperBound {
            var end = start
            while end < value.upperBound, bytes[end] != UInt8(ascii: ","), !bytes[end].isBlank { end += 1 }
            let option = bytes.extracting(start..<end)
            if option.isEqual(toLowercase: "close") { hasClose = true }
            if option.isEqual(toLowercase: "keep-alive") { hasKeepAlive = true }
            start = end + 1
        }
    }

    /// Returns the framing of the body. If its length is specified in two ways, the request is rejected, because the
    /// ambiguity enables request smuggling.
    func framing(isVersion10: Bool) throws(RequestError) -> RequestHead.Framing {
        guard codingCount == 0 else {
            guard lengthCount == 0 else { throw .conflictingLengths }
            guard !isVersion10, codingCount == 1, isChunked else { throw .unsupportedTransferCoding }
            return .chunked
        }
        guard lengthCount <= 1 else { throw .conflictingLengths }
        return length == 0 ? .none : .length(length)
    }
}
