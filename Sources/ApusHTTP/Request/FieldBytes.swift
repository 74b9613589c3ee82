import HTTPTypes

/// The header fields of one request as the received bytes, in one allocation: a table of the positions of names and
/// values, followed by the bytes. Strings are created on access.
///
/// `@unchecked Sendable`: the buffer is private, is written only by the initializer, before it is shared, and is only
/// read after that.
package struct FieldBytes: @unchecked Sendable {
    /// The position of one field in the bytes.
    package struct Entry {
        package var nameStart: UInt32
        package var nameCount: UInt32
        package var valueStart: UInt32
        package var valueCount: UInt32

        package init(name: Range<Int>, value: Range<Int>) {
            nameStart = UInt32(name.lowerBound)
            nameCount = UInt32(name.count)
            valueStart = UInt32(value.lowerBound)
            valueCount = UInt32(value.count)
        }

        fileprivate func isWithin(_ byteCount: Int) -> Bool {
            Int(nameStart) + Int(nameCount) <= byteCount && Int(valueStart) + Int(valueCount) <= byteCount
        }
    }

    private struct Counts {
        var entries: Int
        var bytes: Int
    }

    private let storage: ManagedBuffer<Counts, Entry>

    /// Copies fields.
    /// - Parameter entries: The positions of the fields in `bytes`.
    package init(copying entries: UnsafeBufferPointer<Entry>, in bytes: UnsafeRawBufferPointer) {
        precondition(entries.allSatisfy { $0.isWithin(bytes.count) }, "A field lies outside the bytes.")
        let stride = MemoryLayout<Entry>.stride
        storage = .create(minimumCapacity: entries.count + (bytes.count + stride - 1) / stride) { _ in
            Counts(entries: entries.count, bytes: bytes.count)
        }
        storage.withUnsafeMutablePointerToElements { start in
            if let source = entries.baseAddress { start.initialize(from: source, count: entries.count) }
            if let source = bytes.baseAddress {
                UnsafeMutableRawPointer(start + entries.count).copyMemory(from: source, byteCount: bytes.count)
            }
        }
    }

    package var count: Int { storage.header.entries }

    private func withStorage<Result>(_ body: (UnsafeBufferPointer<Entry>, UnsafeRawBufferPointer) -> Result) -> Result {
        storage.withUnsafeMutablePointers { counts, start in
            let entries = counts.pointee.entries
            return body(
                UnsafeBufferPointer(start: start, count: entries),
                UnsafeRawBufferPointer(start: UnsafeRawPointer(start + entries), count: counts.pointee.bytes))
        }
    }

    /// Returns the index of the first field with the given name at or after `start`, or `nil` if there is none.
    func firstIndex(of name: HTTPField.Name, from start: Int = 0) -> Int? {
        let name = name.canonicalName.utf8Span.span
        return withStorage { entries, bytes in
            var index = start
            while index < entries.count {
                let entry = entries[index]
                if Int(entry.nameCount) == name.count, Self.equal(bytes, at: Int(entry.nameStart), lowercased: name) {
                    return index
                }
                index += 1
            }
            return nil
        }
    }

    private static func equal(_ bytes: UnsafeRawBufferPointer, at start: Int, lowercased name: Span<UInt8>) -> Bool {
        for offset in name.indices {
            let byte = bytes[start + offset]
            let isUpper = byte &- UInt8(ascii: "A") < 26
            guard (isUpper ? byte | 0x20 : byte) == name[offset] else { return false }
        }
        return true
    }

    /// Returns the value of a field, decoded as UTF-8 or, if it is not valid UTF-8, as ISO 8859-1.
    func value(at index: Int) -> String {
        withStorage { entries, bytes in
            let entry = entries[index]
            let start = Int(entry.valueStart)
            let value = UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(entry.valueCount)])
            // Nearly all values are ASCII, and UTF-8 validation by the standard library costs more than creating the
            // string.
            if value.reduce(0, |) < 0x80 { return String(decoding: value, as: UTF8.self) }
            return String(validating: value, as: UTF8.self) ?? String(decoding: value.map(UInt16.init), as: UTF16.self)
        }
    }

    /// Returns whether a field has the given name.
    /// - Parameter name: In lower case.
    func isNamed(_ name: StaticString, at index: Int) -> Bool {
        withStorage { entries, bytes in
            let entry = entries[index]
            guard Int(entry.nameCount) == name.utf8CodeUnitCount else { return false }
            let name = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
            return Self.equal(bytes, at: Int(entry.nameStart), lowercased: name.span)
        }
    }

    /// Returns whether the value of a field is exactly `value`.
    func hasValue(_ value: StaticString, at index: Int) -> Bool {
        withStorage { entries, bytes in
            let entry = entries[index]
            guard Int(entry.valueCount) == value.utf8CodeUnitCount else { return false }
            return bytes[Int(entry.valueStart)..<Int(entry.valueStart) + Int(entry.valueCount)]
                .elementsEqual(UnsafeBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
        }
    }

    func nameCount(at index: Int) -> Int { withStorage { entries, _ in Int(entries[index].nameCount) } }

    /// Returns the name of a field as received.
    func name(at index: Int) -> String {
        withStorage { entries, bytes in
            let start = Int(entries[index].nameStart)
            return String(decoding: bytes[start..<start + Int(entries[index].nameCount)], as: UTF8.self)
        }
    }

    /// Returns a field as an `HTTPField`, or `nil` if its name is invalid.
    func field(at index: Int) -> HTTPField? {
        HTTPField.Name(name(at: index)).map { HTTPField(name: $0, value: value(at: index)) }
    }
}
