extension Polygon {
    /// The polygon as parts between -180 and 180, each an outer ring counter-clockwise and its holes clockwise.
    var partsBetweenAntimeridians: [[[PlanarPoint]]] {
        let oriented = rings.enumerated().map { index, ring in
            (ring.signedArea > 0) == (index == 0) ? ring.vertices : ring.vertices.reversed()
        }
        // The first meridian 180, 540, … or -180 that is not west of the polygon. There is no second one inside, as a
        // polygon is at most 180 degrees wide.
        let range = rings[0].xRange
        let seam = ((range.lowerBound - 180) / 360).rounded(.up) * 360 + 180
        guard seam > range.lowerBound, seam < range.upperBound else {
            return [oriented.map { $0.shifted(by: 180 - (seam > range.lowerBound ? seam : seam + 360)) }]
        }
        return MeridianCut.west(of: seam, oriented).map { $0.map { $0.shifted(by: 180 - seam) } }
            + MeridianCut.east(of: seam, oriented).map { $0.map { $0.shifted(by: -180 - seam) } }
    }
}

extension [PlanarPoint] {
    fileprivate func shifted(by degrees: Double) -> [PlanarPoint] {
        map { PlanarPoint(x: Swift.min(180, Swift.max(-180, $0.x + degrees)), y: $0.y) }
    }

    fileprivate var mirrored: [PlanarPoint] { reversed().map { PlanarPoint(x: -$0.x, y: $0.y) } }
}

/// Cuts a polygon at a meridian (after Weiler and Atherton): the parts of the rings on one side are chains, which start
/// and end at the meridian, and edges along the meridian join them to new rings. A hole that touches both the meridian and
/// the outer ring in a point each remains a hole, though it divides its part.
enum MeridianCut {
    typealias Rings = [[PlanarPoint]]

    static func east(of x: Double, _ rings: Rings) -> [Rings] {
        west(of: -x, rings.map(\.mirrored)).map { $0.map(\.mirrored) }
    }

    /// Returns the parts of the polygon west of the meridian. Outer rings go counter-clockwise, holes clockwise.
    static func west(of x: Double, _ rings: Rings) -> [Rings] {
        var chains: Rings = []
        var whole: Rings = []
        for ring in rings {
            // A hole that touches the meridian in one vertex remains a hole.
            if ring.allSatisfy({ $0.x <= x }), ring.count(where: { $0.x == x }) <= 1 {
                whole.append(ring)
            } else {
                chains += self.chains(of: ring, westOf: x)
            }
        }
        return joined(chains).map { ring in
            [ring] + whole.filter { hole in Ring(ring).contains(hole) }
        }
    }

    /// Returns the parts of a ring west of the meridian, each with the two points on the meridian between which it is.
    private static func chains(of ring: [PlanarPoint], westOf x: Double) -> Rings {
        var points: [PlanarPoint] = []
        for edge in Ring(ring).edges {
            points.append(edge.start)
            if (edge.start.x < x && x < edge.end.x) || (edge.end.x < x && x < edge.start.x) {
                let fraction = (x - edge.start.x) / (edge.end.x - edge.start.x)
                points.append(PlanarPoint(x: x, y: edge.point(at: fraction).y))
            }
        }
        guard let first = points.firstIndex(where: { $0.x >= x }) else { return [] }
        var chains: Rings = []
        var chain = [points[first]]
        for point in points[(first + 1)...] + points[...first] {
            chain.append(point)
            guard point.x >= x else { continue }
            if chain.count > 2 { chains.append(chain) }
            chain = [point]
        }
        return chains
    }

    /// Joins the end of each chain to the start of the next one. Along the meridian, every second interval is inside.
    private static func joined(_ chains: Rings) -> Rings {
        struct End {
            let y: Double
            let chain: Int
            let isStart: Bool
        }
        var ends = chains.indices.flatMap { index in
            [
                End(y: chains[index][0].y, chain: index, isStart: true),
                End(y: chains[index][chains[index].count - 1].y, chain: index, isStart: false),
            ]
        }
        ends.sort { $0.y < $1.y }
        var next: [Int: Int] = [:]
        for index in stride(from: 0, to: ends.count - 1, by: 2) {
            // Where chains touch, either order is sorted; an end must meet a start.
            if ends[index].isStart == ends[index + 1].isStart, index + 2 < ends.count {
                ends.swapAt(index + 1, index + 2)
            }
            let (a, b) = (ends[index], ends[index + 1])
            next[a.isStart ? b.chain : a.chain] = a.isStart ? a.chain : b.chain
        }
        var rings: Rings = []
        while let start = next.keys.min() {
            var ring: [PlanarPoint] = []
            var chain = start
            while let following = next.removeValue(forKey: chain) {
                // Chains that touch share a point.
                ring += chains[chain].drop { $0 == ring.last }
                chain = following
            }
            if ring.first == ring.last { ring.removeLast() }
            rings.append(ring)
        }
        return rings
    }
}

extension Ring {
    /// Whether a hole that does not cross the ring is in it.
    fileprivate func contains(_ hole: [PlanarPoint]) -> Bool {
        for vertex in hole {
            switch position(of: vertex) {
            case .inside: return true
            case .outside: return false
            case .border: continue
            }
        }
        return true
    }
}
