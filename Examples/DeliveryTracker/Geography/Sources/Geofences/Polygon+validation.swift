extension Polygon {
    /// Returns the rings on a map without a seam.
    static func validated(_ places: [[Place]]) throws(GeofenceError) -> [Ring] {
        let count = places.reduce(0) { $0 + $1.count }
        guard count <= maximumVertices else { throw .tooManyVertices(count) }
        var rings: [Ring] = []
        for (index, places) in places.enumerated() {
            let ring = try ring(places, index: index, near: rings.first)
            if index == 0 {
                let width = ring.xRange.upperBound - ring.xRange.lowerBound
                guard width < maximumWidth else { throw .tooWide(width) }
            } else {
                try checkHole(ring, index: index, in: rings)
            }
            rings.append(ring)
        }
        return rings
    }

    private static func ring(_ places: [Place], index: Int, near outer: Ring?) throws(GeofenceError) -> Ring {
        let middle = outer.map { ($0.xRange.lowerBound + $0.xRange.upperBound) / 2 }
        var points: [PlanarPoint] = []
        for point in [PlanarPoint](unwrapping: places, near: middle) where point != points.last {
            points.append(point)
        }
        if points.count > 1, let first = points.first, let last = points.last, first.y == last.y,
            Longitude.difference(from: first.x, to: last.x) == 0
        {
            guard first.x == last.x else { throw .enclosesPole(ring: index) }
            points.removeLast()
        }
        guard points.count >= 3 else { throw .tooFewVertices(ring: index, count: points.count) }
        // The way from the last vertex back to the first one is the shorter one, too.
        let (first, last) = (points[0], points[points.count - 1])
        guard abs(last.x - first.x) <= 180 else { throw .enclosesPole(ring: index) }
        let ring = Ring(points)
        try checkSelfIntersection(of: ring, index: index)
        return ring
    }

    private static func checkSelfIntersection(of ring: Ring, index: Int) throws(GeofenceError) {
        let edges = ring.edges
        for i in edges.indices {
            for j in edges.indices.dropFirst(i + 1) {
                let areAdjacent = j == i + 1 || (i == 0 && j == edges.count - 1)
                let isWrong =
                    areAdjacent
                    ? j == i + 1 && edges[i].foldsBack(in: edges[j]) || j != i + 1 && edges[j].foldsBack(in: edges[i])
                    : edges[i].touches(edges[j])
                guard !isWrong else { throw .selfIntersection(ring: index, edges: [i, j]) }
            }
        }
    }

    private static func checkHole(_ hole: Ring, index: Int, in rings: [Ring]) throws(GeofenceError) {
        for (other, ring) in rings.enumerated() {
            let cross = ring.edges.contains { edge in hole.edges.contains { $0.crosses(edge) } }
            let positions = hole.landmarks.map { ring.position(of: $0) }
            // Two rings of which each is on the border of the other are the same.
            let areSame =
                positions.allSatisfy { $0 == .border } && ring.landmarks.allSatisfy { hole.position(of: $0) == .border }
            if other == 0 {
                guard !cross, !areSame, !positions.contains(.outside) else { throw .holeOutside(ring: index) }
            } else {
                let overlap =
                    cross || areSame || positions.contains(.inside)
                    || ring.landmarks.contains { hole.position(of: $0) == .inside }
                guard !overlap else { throw .holesOverlap(rings: [other, index]) }
            }
        }
    }
}

extension Ring {
    /// The vertices and the middles of the edges: an edge between two vertices on a border may be on either side of it.
    fileprivate var landmarks: [PlanarPoint] { vertices + edges.map { $0.point(at: 0.5) } }
}

extension Segment {
    /// Whether the next edge goes back on the line of this one.
    fileprivate func foldsBack(in next: Segment) -> Bool {
        next.end.side(ofLineFrom: start, to: end) == 0
            && (end.x - start.x) * (next.end.x - next.start.x) + (end.y - start.y) * (next.end.y - next.start.y) < 0
    }
}
