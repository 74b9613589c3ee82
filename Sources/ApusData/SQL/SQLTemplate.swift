import ApusCore

/// A statement without its values: what is the same each time that a line of a program runs it. Engines find what they
/// have prepared by it, so that the text need not be put together again.
package struct SQLTemplate: Sendable {
    package enum Part: Sendable {
        case text(String)
        case strict
        /// The next value.
        case value
        /// The next values, as a list after `IN` or `NOT IN`.
        case list(count: Int)
        case identifier(String)
        case type(ColumnType)
        case rowLock(skipsLocked: Bool)
    }

    package var parts: [Part]

    /// Returns whether the first word of the text is a word of ASCII letters, in any case.
    func isFirstWord(_ word: StaticString) -> Bool {
        var text = ""
        if case .text(let first)? = parts.first { text = first }
        var rest = text.utf8.drop { $0 == 0x20 || (9...13).contains($0) }.makeIterator()
        for index in 0..<word.utf8CodeUnitCount {
            guard let letter = rest.next(), letter & 0xDF == word.utf8Start[index] else { return false }
        }
        guard let next = rest.next() else { return true }
        return !(0x41...0x5A).contains(next & 0xDF)
    }
}

extension SQLTemplate: Hashable {
    package static func == (left: SQLTemplate, right: SQLTemplate) -> Bool {
        guard left.parts.count == right.parts.count else { return false }
        return left.parts.withUnsafeBufferPointer { left in
            right.parts.withUnsafeBufferPointer { right in
                for index in left.indices where !left[index].isExactly(right[index]) { return false }
                return true
            }
        }
    }

    package func hash(into hasher: inout Hasher) {
        for part in parts {
            switch part {
            case .text(let text), .identifier(let text): ExactString(text).hash(into: &hasher)
            case .list(let count): hasher.combine(count)
            case .value, .strict, .type, .rowLock: break
            }
        }
    }
}

extension SQLTemplate.Part {
    fileprivate func isExactly(_ other: Self) -> Bool {
        switch (self, other) {
        case (.text(let text), .text(let other)), (.identifier(let text), .identifier(let other)): text.isExactly(other)
        case (.value, .value), (.strict, .strict): true
        case (.list(let count), .list(let other)): count == other
        case (.type(let type), .type(let other)): type == other
        case (.rowLock(let skips), .rowLock(let other)): skips == other
        case (.text, _), (.strict, _), (.value, _), (.list, _), (.identifier, _), (.type, _), (.rowLock, _): false
        }
    }
}
