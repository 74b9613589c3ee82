/// What the few fields that shape a message say together (RFC 9112 §3.2, §6, §9.3), noted while they are read.
struct MessageRules {
    private(set) var hosts = 0
    private(set) var hasClose = false
    private(set) var hasKeepAlive = false
    private(set) var expectsContinue = false
    private var lengths = 0
    private var length = 0
    private var codings = 0
    private var isChunked = false

    mutating func note(_ bytes: Span<UInt8>, name: Range<Int>, value: Range<Int>) throws(HTTP1Error) {
        let name = bytes.extracting(name)
        switch name.count {
        case 4 where name.isEqual(toLowercase: "host"):
            hosts += 1
            let host = bytes.extracting(value)
            for index in host.indices where !host[index].isAuthority { throw .malformedHost }
        case 6 where name.isEqual(toLowercase: "expect"):
            guard bytes.extracting(value).isEqual(toLowercase: "100-continue") else { throw .unknownExpectation }
            expectsContinue = true
        case 10 where name.isEqual(toLowercase: "connection"): noteConnection(bytes, value)
        case 14 where name.isEqual(toLowercase: "content-length"):
            lengths += 1
            length = try Self.length(bytes.extracting(value))
        case 17 where name.isEqual(toLowercase: "transfer-encoding"):
            codings += 1
            isChunked = bytes.extracting(value).isEqual(toLowercase: "chunked")
        default: break
        }
    }

    /// The options are a comma-separated list.
    private mutating func noteConnection(_ bytes: Span<UInt8>, _ value: Range<Int>) {
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

    private static func length(_ text: Span<UInt8>) throws(HTTP1Error) -> Int {
        guard (1...18).contains(text.count) else { throw .malformedContentLength }
        var length = 0
        for index in text.indices {
            guard text[index].isDigit else { throw .malformedContentLength }
            length = length * 10 + Int(text[index] - UInt8(ascii: "0"))
        }
        return length
    }

    /// How the end of the body is told. A body that is told in two ways is what request smuggling is made of.
    func framing(isVersion10: Bool) throws(HTTP1Error) -> RequestHead.Framing {
        guard codings == 0 else {
            guard lengths == 0 else { throw .conflictingLengths }
            guard !isVersion10, codings == 1, isChunked else { throw .unsupportedTransferCoding }
            return .chunked
        }
        guard lengths <= 1 else { throw .conflictingLengths }
        return length == 0 ? .none : .length(length)
    }
}
