/// A point on the map whose x is the longitude and whose y is the latitude, in degrees. Lines of GeoJSON are straight on
/// this map (RFC 7946, section 3.1.1). East of the antimeridian, x goes on beyond 180.
struct PlanarPoint: Hashable, Sendable {
    var x: Double
    var y: Double
}

extension PlanarPoint {
    init(_ place: Place) {
        self.init(x: place.longitude, y: place.latitude)
    }

    /// Creates the point of a place that is nearest to an x, of all that are whole turns apart.
    init(_ place: Place, near x: Double) {
        // Adding whole turns gives the same x for the same place, so that a vertex is found to be on its edges.
        let turns = ((x - place.longitude) / 360).rounded()
        self.init(x: place.longitude + 360 * turns, y: place.latitude)
    }

    var place: Place { Place(wrapping: y, x) }

    /// Returns a positive number if the point is on the left of the line from a to b, a negative one if it is on the
    /// right, and 0 if it is on the line.
    func side(ofLineFrom a: PlanarPoint, to b: PlanarPoint) -> Double {
        (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x)
    }
}

extension Array<PlanarPoint> {
    /// Creates the points of places of which each is less than half a turn from the one before.
    init(unwrapping places: [Place], near x: Double? = nil) {
        self = []
        for place in places {
            append(PlanarPoint(place, near: last?.x ?? x ?? place.longitude))
        }
    }
}
