/// An area within a ring, without its holes. Its border belongs to it.
///
/// The edges are straight on the map of longitude and latitude, as in GeoJSON (RFC 7946, section 3.1.1), and take the
/// shorter way around the Earth: a ring of 179, -179, … crosses the antimeridian. ``contains(_:)`` takes time in
/// proportion to the number of vertices.
package struct Polygon: Hashable, Sendable {
    /// How many vertices the rings can have together.
    package static let maximumVertices = 2_000
    /// How many degrees of longitude the polygon must be narrower than.
    package static let maximumWidth = 180.0

    /// The outer ring, then the holes, all near each other on the map.
    let rings: [Ring]

    /// - Parameters:
    ///   - outer: Three or more vertices in either direction. The first one may be repeated at the end.
    ///   - holes: Rings within the outer one, which may touch it and each other, but not overlap.
    /// - Throws: What is wrong with the rings.
    package init(outer: [Place], holes: [[Place]] = []) throws(GeofenceError) {
        rings = try Self.validated([outer] + holes)
    }

    /// The vertices of the outer ring, without the first one at the end.
    package var outer: [Place] { rings[0].vertices.map(\.place) }
    package var holes: [[Place]] { rings.dropFirst().map { $0.vertices.map(\.place) } }

    package func contains(_ place: Place) -> Bool {
        contains(PlanarPoint(place, near: middle))
    }

    private var middle: Double { (rings[0].xRange.lowerBound + rings[0].xRange.upperBound) / 2 }

    private func contains(_ point: PlanarPoint) -> Bool {
        rings[0].position(of: point) != .outside
            && rings.dropFirst().allSatisfy { $0.position(of: point) != .inside }
    }

    /// The distance to the border in metres, negative inside. It is exact near the border; far from it, it may be too
    /// great by a little, as the nearest point is looked for on a flat map.
    func signedDistance(to place: Place) -> Double {
        let distance = rings.lazy.flatMap(\.edges).map { $0.distance(to: place) }.reduce(.infinity, min)
        return contains(place) ? -distance : distance
    }

    func stretches(of way: Segment) -> [Stretch] {
        let start = PlanarPoint(way.start.place, near: middle)
        let way = Segment(start: start, end: PlanarPoint(x: start.x + way.end.x - way.start.x, y: way.end.y))
        let meetings = rings.lazy.flatMap(\.edges).flatMap { way.fractions(meeting: $0) }
        let cuts = ([0, 1] + meetings).sorted()
        // Between two cuts, the way does not meet the border: it is inside or outside as a whole.
        return Stretch.union(
            zip(cuts, cuts.dropFirst()).compactMap { start, end in
                start < end && contains(way.point(at: (start + end) / 2)) ? start...end : nil
            })
    }
}
