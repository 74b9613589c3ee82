import ApusCore

/// A single-pass parser that validates a whole document and lists its values.
///
/// Open containers are tracked in the node list, where each node refers to its parent, so nesting uses no stack space.
/// A document that passes is well-formed throughout.
struct Scanner {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let limits: JSON.Limits
    private var offset: Int
    private(set) var nodes: NodeList
    /// The innermost open array or object.
    private var parent: Int?
    private var depth = 0

    private init(_ bytes: UnsafeBufferPointer<UInt8>, limits: JSON.Limits, start: Int) {
        self.bytes = bytes
        self.limits = limits
        offset = start
        nodes = NodeList(capacity: 16 + min(bytes.count, limits.size) / 16)
    }

    /// Scans a document and returns its nodes, the first of which is the top-level value. The caller owns the list.
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
            throw error("The document is \(bytes.count) bytes long; the limit is \(limits.size) bytes.")
        }
        try checkEncoding()
        repeat {
            try scanValue()
            try finishValue()
        } while parent != nil
        skipWhitespace()
        if offset < bytes.count { throw error("Unexpected data after the end of the document.") }
    }

    private mutating func checkEncoding() throws(JSON.SyntaxError) {
        do {
            _ = try UTF8Span(validating: Span(_unsafeElements: bytes))
        } catch {
            offset = error.byteOffsets.lowerBound
            throw self.error("The document is not valid UTF-8.")
        }
    }

    // MARK: Structure

    /// Scans a scalar, an empty container, or the openings of nested containers up to their first scalar.
    private mutating func scanValue() throws(JSON.SyntaxError) {
        while true {
            skipWhitespace()
            guard offset < bytes.count else { throw unexpectedEnd("a value") }
            switch bytes[offset] {
            case UInt8(ascii: "{"):
                try open(.object)
                if try closeIfEmpty(UInt8(ascii: "}")) { return }
                try scanKey()
            case UInt8(ascii: "["):
                try open(.array)
                if try closeIfEmpty(UInt8(ascii: "]")) { return }
            case UInt8(ascii: "\""): return try scanString()
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try scanNumber()
            case UInt8(ascii: "t"): return try scan(literal: "true", .true)
            case UInt8(ascii: "f"): return try scan(literal: "false", .false)
            case UInt8(ascii: "n"): return try scan(literal: "null", .null)
            default: throw unexpected("a value")
            }
        }
    }

    private mutating func open(_ kind: Node.Kind) throws(JSON.SyntaxError) {
        depth += 1
        guard depth <= limits.depth else { throw error("Nesting exceeds the limit of \(limits.depth) levels.") }
        let index = nodes.count
        append(kind, start: offset, end: 0)
        parent = index
        offset += 1
    }

    @inline(__always) private mutating func append(_ kind: Node.Kind, start: Int, end: Int, isPlain: Bool = true) {
        let ordinal = if let parent { nodes.base[parent].count } else { UInt32(0) }
        nodes.append(
            Node(
                kind: kind, isPlain: isPlain, start: UInt32(truncatingIfNeeded: start),
                end: UInt32(truncatingIfNeeded: end),
                parent: parent.map { UInt32(truncatingIfNeeded: $0) } ?? Node.noParent, ordinal: ordinal))
    }

    private mutating func closeIfEmpty(_ closer: UInt8) throws(JSON.SyntaxError) -> Bool {
        skipWhitespace()
        guard offset < bytes.count else { throw unexpectedEnd("a value or a closing bracket") }
        guard bytes[offset] == closer else { return false }
        offset += 1
        try close()
        return true
    }

    /// Scans what follows a value: closing brackets, each of which completes its container, and a comma.
    private mutating func finishValue() throws(JSON.SyntaxError) {
        while let parent {
            nodes.base[parent].count += 1
            let isObject = nodes.base[parent].kind == .object
            skipWhitespace()
            guard offset < bytes.count else { throw unexpectedEnd("a comma or a closing bracket") }
            switch bytes[offset] {
            case UInt8(ascii: ","):
                offset += 1
                if isObject { try scanKey() }
                return
            case UInt8(ascii: "}") where isObject, UInt8(ascii: "]") where !isObject:
                offset += 1
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
        parent = parentIndex(of: index)
        depth -= 1
    }

    private func parentIndex(of index: Int) -> Int? {
        nodes.base[index].parent == Node.noParent ? nil : Int(nodes.base[index].parent)
    }

    private mutating func checkKeys(ofObject index: Int) throws(JSON.SyntaxError) {
        let keys = ObjectKeys(object: index, end: nodes.count, nodes: nodes.base, bytes: bytes)
        guard !keys.areDefinitelyUnique else { return }
        if limits.duplicateKeys == .reject {
            if let key = keys.firstDuplicate {
                offset = Int(nodes.base[key].start)
                throw error("Duplicate key \"\(nodes.base[key].text(in: bytes).prefix(64))\" in an object.")
            }
            nodes.base[index].needsIndex = keys.count > ObjectKeys.linearSearchLimit
        } else {
            nodes.base[index].needsIndex = keys.count > ObjectKeys.linearSearchLimit || keys.firstDuplicate != nil
        }
    }

    private mutating func scanKey() throws(JSON.SyntaxError) {
        skipWhitespace()
        guard offset < bytes.count else { throw unexpectedEnd("a key") }
        guard bytes[offset] == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
        try scanString()
        skipWhitespace()
        guard offset < bytes.count else { throw unexpectedEnd("a colon") }
        guard bytes[offset] == UInt8(ascii: ":") else { throw unexpected("a colon after the key") }
        offset += 1
    }

    @inline(__always) private mutating func skipWhitespace() {
        while offset < bytes.count {
            let byte = bytes[offset]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            offset &+= 1
        }
    }

    // MARK: Values

    private mutating func scan(literal: StaticString, _ kind: Node.Kind) throws(JSON.SyntaxError) {
        let start = offset
        for index in 0..<literal.utf8CodeUnitCount {
            guard offset < bytes.count else { throw unexpectedEnd("\(literal)") }
            guard bytes[offset] == literal.utf8Start[index] else { throw unexpected("\(literal)") }
            offset += 1
        }
        append(kind, start: start, end: offset)
    }

    private mutating func scanString() throws(JSON.SyntaxError) {
        let start = offset
        var isPlain = true
        offset += 1
        while offset < bytes.count {
            let byte = bytes[offset]
            if byte == UInt8(ascii: "\"") {
                offset += 1
                append(.string, start: start, end: offset, isPlain: isPlain)
                return
            } else if byte == UInt8(ascii: "\\") {
                isPlain = false
                try scanEscape()
            } else if byte < 0x20 {
                throw error("A control character in a string must be escaped, for example as \\n or \\u0000.")
            } else {
                if byte >= 0x80 { isPlain = false }
                offset &+= 1
            }
        }
        throw unexpectedEnd("the string's closing quote")
    }

    private mutating func scanEscape() throws(JSON.SyntaxError) {
        guard offset + 1 < bytes.count else { throw unexpectedEnd("a character after the backslash") }
        switch bytes[offset + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            offset += 2
        case UInt8(ascii: "u"):
            let unit = try scanCodeUnit()
            if UTF16.isTrailSurrogate(unit) { throw error("A low surrogate must follow a high surrogate.") }
            guard UTF16.isLeadSurrogate(unit) else { return }
            guard offset + 1 < bytes.count, bytes[offset] == UInt8(ascii: "\\"), bytes[offset + 1] == UInt8(ascii: "u")
            else {
                throw error("A high surrogate must be followed by a low surrogate.")
            }
            guard UTF16.isTrailSurrogate(try scanCodeUnit()) else {
                throw error("A high surrogate must be followed by a low surrogate.")
            }
        default: throw error("Invalid escape sequence; a literal backslash is written as \\\\.")
        }
    }

    /// Scans a `\uXXXX` escape.
    private mutating func scanCodeUnit() throws(JSON.SyntaxError) -> UInt16 {
        guard offset + 6 <= bytes.count else { throw unexpectedEnd("four hexadecimal digits") }
        guard let unit = codeUnit(atEscape: offset, in: bytes) else {
            throw error("\\u must be followed by four hexadecimal digits.")
        }
        offset += 6
        return unit
    }

    private mutating func scanNumber() throws(JSON.SyntaxError) {
        let start = offset
        var kind = Node.Kind.integer
        if bytes[offset] == UInt8(ascii: "-") { offset += 1 }
        if offset + 1 < bytes.count, bytes[offset] == UInt8(ascii: "0"), isDigit(bytes[offset + 1]) {
            throw error("A number must not have leading zeros.")
        }
        try scanDigits()
        if offset < bytes.count, bytes[offset] == UInt8(ascii: ".") {
            kind = .decimal
            offset += 1
            try scanDigits()
        }
        if offset < bytes.count, bytes[offset] | 0x20 == UInt8(ascii: "e") {
            kind = .decimal
            offset += 1
            if offset < bytes.count, bytes[offset] == UInt8(ascii: "+") || bytes[offset] == UInt8(ascii: "-") {
                offset += 1
            }
            try scanDigits()
        }
        append(kind, start: start, end: offset)
    }

    /// Scans one or more digits.
    private mutating func scanDigits() throws(JSON.SyntaxError) {
        guard offset < bytes.count else { throw unexpectedEnd("a digit") }
        guard isDigit(bytes[offset]) else { throw unexpected("a digit") }
        repeat { offset &+= 1 } while offset < bytes.count && isDigit(bytes[offset])
    }

    // MARK: Errors

    private func unexpectedEnd(_ expected: String) -> JSON.SyntaxError {
        error("Expected \(expected) but the document ends.")
    }

    private func unexpected(_ expected: String) -> JSON.SyntaxError {
        let byte = bytes[offset]
        let found = byte > 0x20 && byte < 0x7F ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte \(byte)"
        return error("Expected \(expected) but found \(found).")
    }

    private func error(_ reason: String) -> JSON.SyntaxError {
        let position = position(of: offset, in: bytes)
        return JSON.SyntaxError(
            reason: reason, line: position.line, column: position.column, offset: offset, path: path())
    }

    /// Returns the JSON Pointer of the value being parsed, from the last keys and the counts of the open containers.
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
            next = parentIndex(of: open)
        }
        return tokens.reversed().map { "/" + $0.replacing(["~": "~0", "/": "~1"]) }.joined()
    }

    private func key(of child: Int, inOpenObject object: Int) -> Int? {
        var key = object + 1
        while key + 1 < child { key = nodes.base.after(key + 1) }
        return key < child ? key : nil
    }
}

@inline(__always) func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
