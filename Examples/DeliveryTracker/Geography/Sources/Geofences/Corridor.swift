/// All places near a line, such as a road. Its ends are round.
package struct Corridor: Hashable, Sendable {
    /// The widths that a corridor can have, in metres.
    package static let widths = 1.0...200_000
    /// How many places the line can have.
    package static let counts = 2...2_000

    package let line: [Place]
    /// The distance from one border to the other in metres, half of it on each side of the line.
    package let width: Double
    private let segments: [Segment]

    /// Creates a corridor around a line that is straight on the map between its places, and may cross the antimeridian.
    /// - Throws: ``GeofenceError/width(_:)`` or ``GeofenceError/lineLength(_:)``.
    package init(line: [Place], width: Double) throws(GeofenceError) {
        guard Self.widths.contains(width) else { throw .width(width) }
        guard Self.counts.contains(line.count) else { throw .lineLength(line.count) }
        self.line = line
        self.width = width
        let points = [PlanarPoint](unwrapping: line)
        segments = zip(points, points.dropFirst()).map { Segment(start: $0, end: $1) }
    }

    func signedDistance(to place: Place) -> Double {
        segments.lazy.map { $0.distance(to: place) }.reduce(.infinity, min) - width / 2
    }

    func stretches(of way: Segment) -> [Stretch] {
        let (start, length) = (way.start.place, way.length)
        return Stretch.union(
            segments.compactMap { segment in
                guard segment.distance(to: start) <= width / 2 + length * 1.01 else { return nil }
                return Stretch.within(width / 2) { segment.distance(to: way.point(at: $0).place) }
            })
    }
}
