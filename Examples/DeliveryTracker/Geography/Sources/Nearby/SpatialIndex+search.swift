extension SpatialIndex {
    /// A subject that was found, and its great-circle distance in metres.
    package struct Neighbor: Sendable {
        package let id: ID
        package let place: Place
        package let distance: Double
    }

    /// Returns the nearest subjects, the nearest one first.
    /// - Parameters:
    ///   - limit: How many there are at most.
    ///   - radius: How far away they are at most, in metres.
    ///   - isIncluded: Whether a subject counts. It may be asked several times.
    package func nearest(
        to place: Place, limit: Int, within radius: Double = .infinity, where isIncluded: (ID) -> Bool = { _ in true }
    ) -> [Neighbor] {
        guard limit > 0, radius >= 0 else { return [] }
        // No place is further away than the antipode.
        let radius = min(radius, Earth.radius * 3.2)
        var reach = min(radius, grid.cellSize)
        while true {
            var nearest = NearestFew(limit: limit, within: reach)
            let isSmall = forEachEntry(in: BoundingBox(center: place, radius: reach)) { entry in
                let distance = place.distance(to: entry.place)
                if nearest.accepts(distance), isIncluded(entry.id) {
                    nearest.insert(Neighbor(id: entry.id, place: entry.place, distance: distance))
                }
            }
            guard isSmall else { break }
            // All subjects within reach are in the box, so that none outside it can be nearer.
            if nearest.isFull || reach >= radius { return nearest.neighbors }
            reach = min(radius, reach * 2)
        }
        var nearest = NearestFew(limit: limit, within: radius)
        for entry in entries {
            let distance = place.distance(to: entry.place)
            if nearest.accepts(distance), isIncluded(entry.id) {
                nearest.insert(Neighbor(id: entry.id, place: entry.place, distance: distance))
            }
        }
        return nearest.neighbors
    }

    /// Returns the subjects in a box, in no particular order.
    package func ids(in box: BoundingBox) -> [ID] {
        var ids: [ID] = []
        let isSmall = forEachEntry(in: box) { entry in
            if box.contains(entry.place) { ids.append(entry.id) }
        }
        return isSmall ? ids : entries.filter { box.contains($0.place) }.map(\.id)
    }

    /// Visits the subjects in the cells that a box covers.
    /// - Returns: Whether it did. It does not if looking at all subjects is less work.
    private func forEachEntry(in box: BoundingBox, _ body: (Entry) -> Void) -> Bool {
        let parts = grid.cells(in: box)
        let count = parts.reduce(0) { $0 + $1.rows.count * $1.columns.count }
        guard count <= entries.count else { return false }
        for part in parts {
            for row in part.rows {
                for column in part.columns {
                    guard let slots = cells[GridCell(row: row, column: column)] else { continue }
                    for slot in slots { body(entries[slot]) }
                }
            }
        }
        return true
    }

    /// The nearest of the subjects that it was given.
    private struct NearestFew {
        let limit: Int
        let radius: Double
        private(set) var neighbors: [Neighbor] = []

        init(limit: Int, within radius: Double) {
            self.limit = limit
            self.radius = radius
        }

        var isFull: Bool { neighbors.count == limit }

        func accepts(_ distance: Double) -> Bool {
            guard distance <= radius else { return false }
            guard isFull, let last = neighbors.last else { return true }
            return distance < last.distance
        }

        mutating func insert(_ neighbor: Neighbor) {
            if isFull { neighbors.removeLast() }
            let index = neighbors.lastIndex { $0.distance <= neighbor.distance }
            neighbors.insert(neighbor, at: index.map { $0 + 1 } ?? 0)
        }
    }
}
