/// Text in columns.
struct TextTable: CustomStringConvertible {
    private var rows: [[String]]
    private let hasHeader: Bool

    /// Creates a table without rows.
    init(_ header: String...) {
        hasHeader = !header.isEmpty
        rows = hasHeader ? [header] : []
    }

    var isEmpty: Bool { rows.count == (hasHeader ? 1 : 0) }

    mutating func add(_ row: String...) { rows.append(row) }

    var description: String {
        var widths: [Int] = []
        for row in rows {
            for (column, text) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], text.count)
            }
        }
        return rows.map { row in
            let cells = row.enumerated().map { column, text in
                column == row.count - 1 ? text : text + String(repeating: " ", count: widths[column] - text.count)
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}
