/// A line between two places that is straight on the map: the edge of a fence, or the way between two fixes.
struct Segment: Hashable, Sendable {
    let start: PlanarPoint
    let end: PlanarPoint

    init(start: PlanarPoint, end: PlanarPoint) {
        self.start = start
        self.end = end
    }

    /// Creates the shorter line between two places, which may cross the antimeridian.
    init(from start: Place, to end: Place) {
        self.init(start: PlanarPoint(start), end: PlanarPoint(end, near: start.longitude))
    }

    /// The length in metres, by the great circle.
    var length: Double { start.place.distance(to: end.place) }

    func point(at fraction: Double) -> PlanarPoint {
        // Exact at both ends.
        PlanarPoint(
            x: start.x * (1 - fraction) + end.x * fraction,
            y: start.y * (1 - fraction) + end.y * fraction)
    }

    /// Returns the great-circle distance in metres from a place to the nearest point of the line.
    func distance(to place: Place) -> Double {
        let point = PlanarPoint(place, near: (start.x + end.x) / 2)
        var nearest = point
        // The length of a degree of longitude depends on the latitude: the second round knows it better.
        for _ in 0..<2 {
            let scale = cosine(((point.y + nearest.y) / 2).radians)
            nearest = self.point(at: fraction(nearest: point, scale: scale))
        }
        return place.distance(to: nearest.place)
    }

    private func fraction(nearest point: PlanarPoint, scale: Double) -> Double {
        let (dx, dy) = ((end.x - start.x) * scale, end.y - start.y)
        let length = dx * dx + dy * dy
        guard length > 0 else { return 0 }
        return min(1, max(0, ((point.x - start.x) * scale * dx + (point.y - start.y) * dy) / length))
    }
}

// MARK: Intersections

extension Segment {
    /// Whether the point is exactly on the line.
    func contains(_ point: PlanarPoint) -> Bool {
        point.side(ofLineFrom: start, to: end) == 0
            && min(start.x, end.x) <= point.x && point.x <= max(start.x, end.x)
            && min(start.y, end.y) <= point.y && point.y <= max(start.y, end.y)
    }

    /// Whether the lines cross each other in a point that is no end of either.
    func crosses(_ other: Segment) -> Bool {
        let (a, b) = (other.start.side(ofLineFrom: start, to: end), other.end.side(ofLineFrom: start, to: end))
        let (c, d) = (
            start.side(ofLineFrom: other.start, to: other.end), end.side(ofLineFrom: other.start, to: other.end)
        )
        return a != 0 && b != 0 && c != 0 && d != 0 && (a > 0) != (b > 0) && (c > 0) != (d > 0)
    }

    /// Whether the lines have a point in common.
    func touches(_ other: Segment) -> Bool {
        crosses(other) || contains(other.start) || contains(other.end) || other.contains(start) || other.contains(end)
    }

    /// Returns the fractions of this line at which it meets the other one: none, one, or the ends of what they share.
    func fractions(meeting other: Segment) -> [Double] {
        let (dx, dy) = (end.x - start.x, end.y - start.y)
        let (a, b) = (other.start.side(ofLineFrom: start, to: end), other.end.side(ofLineFrom: start, to: end))
        guard a != b else {
            let length = dx * dx + dy * dy
            guard a == 0, length > 0 else { return [] }
            return [other.start, other.end]
                .map { (($0.x - start.x) * dx + ($0.y - start.y) * dy) / length }
                .filter { (0...1).contains($0) }
        }
        guard a == 0 || b == 0 || (a > 0) != (b > 0) else { return [] }
        let c = start.side(ofLineFrom: other.start, to: other.end)
        let d = end.side(ofLineFrom: other.start, to: other.end)
        guard c != d else { return [] }
        let fraction = c / (c - d)
        return (0...1).contains(fraction) ? [fraction] : []
    }
}
