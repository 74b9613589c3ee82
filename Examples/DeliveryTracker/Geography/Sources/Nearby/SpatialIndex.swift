/// The places of many subjects that move, for the question who is near.
///
/// It is a grid of cells of equal degrees. With n subjects:
/// - ``update(_:to:)`` and ``remove(_:)`` take constant time, plus the number of subjects in the cell if it changes.
/// - ``nearest(to:limit:within:where:)`` looks at the cells of a box, and doubles the box until it holds enough subjects.
///   It takes time in proportion to the subjects and cells in the last box; when the box would have more cells than there
///   are subjects, it looks at all subjects, once: O(n) is the worst case.
/// - Memory is O(n): a cell without subjects takes none.
///
/// Near the poles the cells are narrow; answers are right there, but slower.
package struct SpatialIndex<ID: Hashable & Sendable>: Sendable {
    struct Entry: Sendable {
        let id: ID
        var place: Place
        var cell: GridCell
    }

    let grid: Grid
    private(set) var entries: [Entry] = []
    private(set) var cells: [GridCell: [Int]] = [:]
    /// The position of each subject in `entries`.
    private var slots: [ID: Int] = [:]

    /// - Parameter cellSize: The height of a cell in metres, in 10...1,000,000. A cell should hold a few subjects, and be
    ///   about as large as the distance in which they are looked for.
    package init(cellSize: Double = 1000) {
        grid = Grid(cellSize: cellSize)
    }

    package var count: Int { entries.count }

    /// The place of a subject, or `nil` if it is not in the index.
    package subscript(id: ID) -> Place? { slots[id].map { entries[$0].place } }

    /// Moves a subject, or inserts it if it is new.
    package mutating func update(_ id: ID, to place: Place) {
        let cell = grid.cell(of: place)
        guard let slot = slots[id] else {
            slots[id] = entries.count
            cells[cell, default: []].append(entries.count)
            entries.append(Entry(id: id, place: place, cell: cell))
            return
        }
        entries[slot].place = place
        guard entries[slot].cell != cell else { return }
        take(slot, outOf: entries[slot].cell)
        cells[cell, default: []].append(slot)
        entries[slot].cell = cell
    }

    /// Removes a subject.
    /// - Returns: Its last place, or `nil` if it was not in the index.
    @discardableResult package mutating func remove(_ id: ID) -> Place? {
        guard let slot = slots.removeValue(forKey: id) else { return nil }
        let place = entries[slot].place
        take(slot, outOf: entries[slot].cell)
        let last = entries.removeLast()
        // The last entry fills the gap.
        if slot < entries.count {
            take(entries.count, outOf: last.cell)
            cells[last.cell, default: []].append(slot)
            entries[slot] = last
            slots[last.id] = slot
        }
        return place
    }

    private mutating func take(_ slot: Int, outOf cell: GridCell) {
        guard var slots = cells.removeValue(forKey: cell) else { return }
        if let index = slots.firstIndex(of: slot) {
            slots.swapAt(index, slots.count - 1)
            slots.removeLast()
        }
        if !slots.isEmpty { cells[cell] = slots }
    }
}
