extension Row {
    /// The approximate size of the values in memory, in bytes.
    package var size: Int {
        var size = 0
        for index in range { size += storage[index].size }
        return size
    }

    /// The approximate size of rows in memory, in bytes.
    package static func size(of rows: [Row]) -> Int {
        var size = 0
        for row in rows { size += row.size }
        return size
    }
}

extension SQLValue {
    fileprivate var size: Int {
        switch self {
        case .null, .integer, .real, .timestamp: 16
        case .text(let text): 16 + text.utf8.count
        case .blob(let bytes): 16 + bytes.count
        }
    }
}
