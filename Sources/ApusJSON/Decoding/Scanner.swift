/// Reads a document once, from the first byte to the last: checks all of its grammar and lists its values.
///
/// What is open is kept in the list itself, where each value knows what it is in, so that hostile nesting costs no stack.
/// After it, nothing in the document can be malformed.
struct Scanner {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let limits: JSON.Limits
    private var at: Int
    private(set) var nodes: NodeList
    /// The innermost open array or object.
    private var parent: Int?
    private var depth = 0

    /// The bytes must be checked as UTF-8 already.
    private init(_ bytes: UnsafeBufferPointer<UInt8>, limits: JSON.Limits, start: Int) {
        self.bytes = bytes
        self.limits = limits
        at = start
        nodes = NodeList(capacity: 16 + min(bytes.count, limits.size) / 16)
    }

    /// The values of a document. The first is the document's own; the list belongs to the caller.
    static func scan(_ bytes: UnsafeBufferPointer<UInt8>, limits: JSON.Limits) throws(JSON.SyntaxError) -> NodeList {
        let hasByteOrderMark = bytes.count >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF
        var scanner = Scanner(bytes, limits: limits, start: hasByteOrderMark ? 3 : 0)
        do {
            try scanner.scanDocument()
        } catch {
            scanner.nodes.deallocate()
            throw error
        }
        return scanner.nodes
    }

    private mutating func scanDocument() throws(JSON.SyntaxError) {
        guard bytes.count <= min(limits.size, Int(Int32.max)) else {
            throw error("The document has \(bytes.count) bytes; at most \(limits.size) are allowed.")
        }
        try checkEncoding()
        repeat {
            try scanValue()
            try finishValue()
        } while parent != nil
        skipSpace()
        if at < bytes.count { throw error("The document ends before this: only one value is allowed.") }
    }

    private mutating func checkEncoding() throws(JSON.SyntaxError) {
        do {
            _ = try UTF8Span(validating: Span(_unsafeElements: bytes))
        } catch {
            at = error.byteOffsets.lowerBound
            throw self.error("The text is not valid UTF-8.")
        }
    }

    // MARK: Structure

    /// One value, or the opening of one and its first key. Leaves `at` after it.
    private mutating func scanValue() throws(JSON.SyntaxError) {
        while true {
            skipSpace()
            guard at < bytes.count else { throw unexpectedEnd("a value") }
            switch bytes[at] {
            case UInt8(ascii: "{"):
                try open(.object)
                if try closesAtOnce(UInt8(ascii: "}")) { return }
                try scanKey()
            case UInt8(ascii: "["):
                try open(.array)
                if try closesAtOnce(UInt8(ascii: "]")) { return }
            case UInt8(ascii: "\""): return try scanString()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try scanNumber()
            case UInt8(ascii: "t"): return try scan(word: "true", .true)
            case UInt8(ascii: "f"): return try scan(word: "false", .false)
            case UInt8(ascii: "n"): return try scan(word: "null", .null)
            default: throw unexpected("a value")
            }
        }
    }

    private mutating func open(_ kind: Node.Kind) throws(JSON.SyntaxError) {
        depth += 1
        guard depth <= limits.depth else { throw error("Nested deeper than \(limits.depth) levels.") }
        let index = nodes.count
        append(kind, start: at, end: 0)
        parent = index
        at += 1
    }

    @inline(__always) private mutating func append(_ kind: Node.Kind, start: Int, end: Int, isPlain: Bool = true) {
        let ordinal = if let parent { nodes.base[parent].count } else { UInt32(0) }
        nodes.append(
            Node(
                kind: kind, isPlain: isPlain, start: UInt32(truncatingIfNeeded: start),
                end: UInt32(truncatingIfNeeded: end),
                parent: parent.map { UInt32(truncatingIfNeeded: $0) } ?? Node.noParent, ordinal: ordinal))
    }

    private mutating func closesAtOnce(_ closer: UInt8) throws(JSON.SyntaxError) -> Bool {
        skipSpace()
        guard at < bytes.count else { throw unexpectedEnd("a value or a closing bracket") }
        guard bytes[at] == closer else { return false }
        at += 1
        try close()
        return true
    }

    /// After a value: the brackets that close, each of which finishes a value, and the comma that goes on.
    private mutating func finishValue() throws(JSON.SyntaxError) {
        while let parent {
            nodes.base[parent].count += 1
            let isObject = nodes.base[parent].kind == .object
            skipSpace()
            guard at < bytes.count else { throw unexpectedEnd("a comma or a closing bracket") }
            switch bytes[at] {
            case UInt8(ascii: ","):
                at += 1
                if isObject { try scanKey() }
                return
            case UInt8(ascii: "}") where isObject, UInt8(ascii: "]") where !isObject:
                at += 1
                try close()
            default: throw unexpected(isObject ? "a comma or }" : "a comma or ]")
            }
        }
    }

    private mutating func close() throws(JSON.SyntaxError) {
        guard let index = parent else { return }
        if nodes.base[index].kind == .object { try checkKeys(ofObject: index) }
        nodes.base[index].end = UInt32(nodes.count)
        nodes.base[index].lastFound = UInt32(index + 1)
        parent = outer(index)
        depth -= 1
    }

    private func outer(_ index: Int) -> Int? {
        nodes.base[index].parent == Node.noParent ? nil : Int(nodes.base[index].parent)
    }

    private mutating func checkKeys(ofObject index: Int) throws(JSON.SyntaxError) {
        let keys = ObjectKeys(object: index, end: nodes.count, nodes: nodes.base, bytes: bytes)
        guard !keys.areSurelyDifferent else { return }
        if limits.duplicateKeys == .reject {
            if let key = keys.firstRepeated {
                at = Int(nodes.base[key].start)
                throw error("The object has the key \"\(nodes.base[key].text(in: bytes).prefix(64))\" twice.")
            }
            nodes.base[index].needsIndex = keys.count > ObjectKeys.fewCount
        } else {
            nodes.base[index].needsIndex = keys.count > ObjectKeys.fewCount || keys.firstRepeated != nil
        }
    }

    private mutating func scanKey() throws(JSON.SyntaxError) {
        skipSpace()
        guard at < bytes.count else { throw unexpectedEnd("a key") }
        guard bytes[at] == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
        try scanString()
        skipSpace()
        guard at < bytes.count else { throw unexpectedEnd("a colon") }
        guard bytes[at] == UInt8(ascii: ":") else { throw unexpected("a colon after the key") }
        at += 1
    }

    @inline(__always) private mutating func skipSpace() {
        while at < bytes.count {
            let byte = bytes[at]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            at &+= 1
        }
    }

    // MARK: Values

    private mutating func scan(word: StaticString, _ kind: Node.Kind) throws(JSON.SyntaxError) {
        let start = at
        for index in 0..<word.utf8CodeUnitCount {
            guard at < bytes.count else { throw unexpectedEnd("\(word)") }
            guard bytes[at] == word.utf8Start[index] else { throw unexpected("\(word)") }
            at += 1
        }
        append(kind, start: start, end: at)
    }

    private mutating func scanString() throws(JSON.SyntaxError) {
        let start = at
        var isPlain = true
        at += 1
        while at < bytes.count {
            let byte = bytes[at]
            if byte == UInt8(ascii: "\"") {
                at += 1
                append(.string, start: start, end: at, isPlain: isPlain)
                return
            } else if byte == UInt8(ascii: "\\") {
                isPlain = false
                try scanEscape()
            } else if byte < 0x20 {
                throw error("A control character in a string must be escaped, as \\n is.")
            } else {
                if byte >= 0x80 { isPlain = false }
                at &+= 1
            }
        }
        throw unexpectedEnd("the string's closing quote")
    }

    private mutating func scanEscape() throws(JSON.SyntaxError) {
        guard at + 1 < bytes.count else { throw unexpectedEnd("an escaped character") }
        switch bytes[at + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 2
        case UInt8(ascii: "u"):
            let unit = try scanCodeUnit()
            if UTF16.isTrailSurrogate(unit) { throw error("This low surrogate follows no high one.") }
            guard UTF16.isLeadSurrogate(unit) else { return }
            guard at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") else {
                throw error("A low surrogate must follow the high one.")
            }
            guard UTF16.isTrailSurrogate(try scanCodeUnit()) else {
                throw error("A low surrogate must follow the high one.")
            }
        default: throw error("There is no such escape; a backslash itself is \\\\.")
        }
    }

    /// `\uXXXX`
    private mutating func scanCodeUnit() throws(JSON.SyntaxError) -> UInt16 {
        guard at + 6 <= bytes.count else { throw unexpectedEnd("four hexadecimal digits") }
        guard let unit = codeUnit(atEscape: at, in: bytes) else {
            throw error("\\u must be followed by four hexadecimal digits.")
        }
        at += 6
        return unit
    }

    private mutating func scanNumber() throws(JSON.SyntaxError) {
        let start = at
        var kind = Node.Kind.integer
        if bytes[at] == UInt8(ascii: "-") { at += 1 }
        if at + 1 < bytes.count, bytes[at] == UInt8(ascii: "0"), isDigit(bytes[at + 1]) {
            throw error("A number must not begin with 0 and another digit.")
        }
        try scanDigits()
        if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
            kind = .decimal
            at += 1
            try scanDigits()
        }
        if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
            kind = .decimal
            at += 1
            if at < bytes.count, bytes[at] == UInt8(ascii: "+") || bytes[at] == UInt8(ascii: "-") { at += 1 }
            try scanDigits()
        }
        append(kind, start: start, end: at)
    }

    /// One digit at least.
    private mutating func scanDigits() throws(JSON.SyntaxError) {
        guard at < bytes.count else { throw unexpectedEnd("a digit") }
        guard isDigit(bytes[at]) else { throw unexpected("a digit") }
        repeat { at &+= 1 } while at < bytes.count && isDigit(bytes[at])
    }

    // MARK: Errors

    private func unexpectedEnd(_ expected: String) -> JSON.SyntaxError {
        error("The document ends where \(expected) should be.")
    }

    private func unexpected(_ expected: String) -> JSON.SyntaxError {
        let byte = bytes[at]
        let found = byte > 0x20 && byte < 0x7F ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte \(byte)"
        return error("Found \(found) where \(expected) should be.")
    }

    private func error(_ reason: String) -> JSON.SyntaxError {
        let position = position(of: at, in: bytes)
        return JSON.SyntaxError(
            reason: reason, line: position.line, column: position.column, offset: at, path: path())
    }

    /// The pointer of the innermost open value: what is open knows its parent, and its last key or its count.
    private func path() -> String {
        var tokens: [String] = []
        var next = parent
        var child = nodes.count
        while let open = next {
            if nodes.base[open].kind == .array {
                tokens.append("\(nodes.base[open].count)")
            } else if let key = key(of: child, inOpenObject: open) {
                tokens.append(String(nodes.base[key].text(in: bytes).prefix(64)))
            }
            child = open
            next = outer(open)
        }
        return tokens.reversed().map { "/" + $0.replacing("~", with: "~0").replacing("/", with: "~1") }.joined()
    }

    private func key(of child: Int, inOpenObject object: Int) -> Int? {
        var key = object + 1
        while key + 1 < child { key = nodes.base.after(key + 1) }
        return key < child ? key : nil
    }
}

@inline(__always) func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
