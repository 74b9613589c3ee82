/// A cell of a grid, counted from the south pole and from the antimeridian.
struct GridCell: Hashable, Sendable {
    let row: Int32
    let column: Int32
}

/// A division of the map into cells of equal degrees.
struct Grid: Sendable {
    /// The height of a cell in metres.
    let cellSize: Double
    private let degrees: Double

    init(cellSize: Double) {
        self.cellSize = cellSize.isNaN ? 1000 : min(1_000_000, max(10, cellSize))
        degrees = self.cellSize / Earth.metresPerDegree
    }

    func cell(of place: Place) -> GridCell {
        GridCell(row: index(place.latitude + 90), column: index(place.longitude + 180))
    }

    /// Returns the rows and columns of the cells that a box covers, in one part or two.
    func cells(in box: BoundingBox) -> [(rows: ClosedRange<Int32>, columns: ClosedRange<Int32>)] {
        let (south, north) = (index(box.southWest.latitude + 90), index(box.northEast.latitude + 90))
        guard south <= north else { return [] }
        return box.longitudes.map { range in
            (south...north, index(range.lowerBound + 180)...index(range.upperBound + 180))
        }
    }

    /// Degrees are at most 360, and cells at least 10 metres: the index has seven digits at most.
    private func index(_ degrees: Double) -> Int32 {
        Int32((degrees / self.degrees).rounded(.down))
    }
}
