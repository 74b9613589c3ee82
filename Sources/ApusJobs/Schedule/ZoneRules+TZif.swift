extension ZoneRules {
    /// Reads a compiled time zone file (TZif) of any version from 1 to 4 (RFC 9636, which replaces RFC 8536).
    /// - Throws: What is wrong with the bytes.
    init(tzif bytes: [UInt8]) throws(TZifError) {
        var reader = TZifReader(bytes: bytes)
        let header = try reader.header()
        guard header.version > 0 else {
            self = try reader.rules(header, timeSize: 4)
            return
        }
        // The times of 32 bits are for old readers. A second header and the same with 64 bits follow.
        try reader.skipBody(of: header, timeSize: 4)
        self = try reader.rules(reader.header(), timeSize: 8, hasFooter: true)
    }
}

/// Why bytes are not a compiled time zone file.
enum TZifError: Error, Equatable, CustomStringConvertible {
    case notTZif
    case unknownVersion(UInt8)
    case truncated(TZifPart)
    case noLocalTimes
    case unorderedTransitions
    case unknownLocalTime(Int)
    case offsetOutOfRange(Int)
    case leapSeconds
    case malformedFooter(String)

    var description: String {
        switch self {
        case .notTZif: "it has no header, which begins with \"TZif\""
        case .unknownVersion(let byte): "its version is the byte \(byte), not 0 or one of the digits from 2 on"
        case .truncated(let part): "it ends within the \(part.rawValue)"
        case .noLocalTimes: "it has no types of local time"
        case .unorderedTransitions: "its transition times do not increase"
        case .unknownLocalTime(let index): "a transition is to the type of local time \(index), which it does not have"
        case .offsetOutOfRange(let offset): "the offset \(offset) is not between -25 and 26 hours, in seconds"
        case .leapSeconds: "it counts leap seconds, which POSIX time does not"
        case .malformedFooter(let text): "its footer \"\(text)\" is not a POSIX TZ string"
        }
    }
}

/// The parts of a compiled time zone file.
enum TZifPart: String {
    case header
    case oldBody = "data of 32 bits"
    case transitionTimes = "transition times"
    case transitionTypes = "transition types"
    case localTimes = "types of local time"
    case remainder = "data after the types of local time"
    case footer
}

private struct TZifReader {
    let bytes: [UInt8]
    var index = 0

    struct Header {
        let version: UInt8
        let indicatorsOfUTC, indicatorsOfStandardTime, leapSeconds, transitions, localTimes, abbreviationBytes: Int

        /// The number of bytes after the types of local time.
        func remainderSize(timeSize: Int) -> Int {
            abbreviationBytes + leapSeconds * (timeSize + 4) + indicatorsOfStandardTime + indicatorsOfUTC
        }
    }

    mutating func header() throws(TZifError) -> Header {
        guard zip(bytes[index...], "TZif".utf8).allSatisfy(==) else { throw .notTZif }
        let header = Array(try take(44, of: .header))
        let version = header[4]
        guard version == 0 || version >= UInt8(ascii: "2") && version <= UInt8(ascii: "9") else {
            throw .unknownVersion(version)
        }
        func count(_ number: Int) -> Int { Self.integer(header[20 + number * 4..<24 + number * 4]) & 0xFFFF_FFFF }
        return Header(
            version: version, indicatorsOfUTC: count(0), indicatorsOfStandardTime: count(1), leapSeconds: count(2),
            transitions: count(3), localTimes: count(4), abbreviationBytes: count(5))
    }

    mutating func skipBody(of header: Header, timeSize: Int) throws(TZifError) {
        let size = header.transitions * (timeSize + 1) + header.localTimes * 6
        _ = try take(size + header.remainderSize(timeSize: timeSize), of: .oldBody)
    }

    mutating func rules(_ header: Header, timeSize: Int, hasFooter: Bool = false) throws(TZifError) -> ZoneRules {
        guard header.leapSeconds == 0 else { throw .leapSeconds }
        guard header.localTimes > 0 else { throw .noLocalTimes }
        let times = try transitionTimes(header.transitions, size: timeSize)
        let types = try take(header.transitions, of: .transitionTypes)
        let offsets = try offsets(header.localTimes)
        _ = try take(header.remainderSize(timeSize: timeSize), of: .remainder)
        if let unknown = types.first(where: { $0 >= offsets.count }) { throw .unknownLocalTime(Int(unknown)) }
        let changes = zip(times, types).map { time, type in OffsetChange(time: time, offset: offsets[Int(type)]) }
        return ZoneRules(initialOffset: offsets[0], changes: changes, laterRules: hasFooter ? try footer() : nil)
    }

    private mutating func transitionTimes(_ count: Int, size: Int) throws(TZifError) -> [Int] {
        let field = try take(count * size, of: .transitionTimes)
        let times = stride(from: field.startIndex, to: field.endIndex, by: size).map {
            Self.integer(field[$0..<$0 + size])
        }
        guard zip(times, times.dropFirst()).allSatisfy(<) else { throw .unorderedTransitions }
        // Some files note a transition before the beginning of time. Nearer times leave room to calculate.
        return times.map { min(max($0, -1 << 59), 1 << 59) }
    }

    private mutating func offsets(_ count: Int) throws(TZifError) -> [Int] {
        let field = try take(count * 6, of: .localTimes)
        var offsets: [Int] = []
        for start in stride(from: field.startIndex, to: field.endIndex, by: 6) {
            let offset = Self.integer(field[start..<start + 4])
            guard ZoneRules.possibleOffsets.contains(offset) else { throw .offsetOutOfRange(offset) }
            offsets.append(offset)
        }
        return offsets
    }

    private mutating func footer() throws(TZifError) -> PosixTimeZone? {
        guard try take(1, of: .footer).first == UInt8(ascii: "\n"),
            let end = bytes[index...].firstIndex(of: UInt8(ascii: "\n"))
        else { throw .truncated(.footer) }
        let text = bytes[index..<end]
        guard !text.isEmpty else { return nil }
        guard let rules = PosixTimeZone(text) else { throw .malformedFooter(String(decoding: text, as: UTF8.self)) }
        return rules
    }

    private mutating func take(_ count: Int, of part: TZifPart) throws(TZifError) -> ArraySlice<UInt8> {
        guard count <= bytes.count - index else { throw .truncated(part) }
        defer { index += count }
        return bytes[index..<index + count]
    }

    /// The value of a signed integer, the most significant byte first.
    private static func integer(_ bytes: ArraySlice<UInt8>) -> Int {
        let value = bytes.reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        let unused = 64 - bytes.count * 8
        return Int(Int64(bitPattern: value << unused) >> unused)
    }
}
