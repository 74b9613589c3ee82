/// A closed line on the map. The last vertex is followed by the first one, and is not repeated.
struct Ring: Hashable, Sendable {
    enum Position {
        case inside, border, outside
    }

    let vertices: [PlanarPoint]
    let xRange: ClosedRange<Double>
    let yRange: ClosedRange<Double>

    /// - Parameter vertices: One or more.
    init(_ vertices: [PlanarPoint]) {
        self.vertices = vertices
        let (xs, ys) = (vertices.map(\.x), vertices.map(\.y))
        xRange = (xs.min() ?? 0)...(xs.max() ?? 0)
        yRange = (ys.min() ?? 0)...(ys.max() ?? 0)
    }

    var edges: [Segment] {
        zip(vertices, vertices.dropFirst() + vertices.prefix(1)).map { Segment(start: $0, end: $1) }
    }

    /// The area in square degrees, which is positive if the vertices go counter-clockwise.
    var signedArea: Double {
        guard let origin = vertices.first else { return 0 }
        // Relative to a vertex: far from the origin, the products would cancel out all digits of a small area.
        let twice = edges.reduce(0) { sum, edge in
            sum + (edge.start.x - origin.x) * (edge.end.y - origin.y) - (edge.end.x - origin.x)
                * (edge.start.y - origin.y)
        }
        return twice / 2
    }

    /// Returns where a point is, by the number of edges to its east (even-odd rule).
    func position(of point: PlanarPoint) -> Position {
        guard xRange.contains(point.x), yRange.contains(point.y) else { return .outside }
        var isInside = false
        var start = vertices[vertices.count - 1]
        for end in vertices {
            let side = point.side(ofLineFrom: start, to: end)
            if side == 0, Segment(start: start, end: end).contains(point) { return .border }
            if (start.y > point.y) != (end.y > point.y), (side > 0) == (end.y > start.y) { isInside.toggle() }
            start = end
        }
        return isInside ? .inside : .outside
    }
}
