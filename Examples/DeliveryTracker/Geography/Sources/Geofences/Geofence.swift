/// An area on the map. Its border belongs to it.
package enum Geofence: Hashable, Sendable {
    case circle(Circle)
    /// One polygon or several, such as the parts of a delivery area.
    case area(MultiPolygon)
    case corridor(Corridor)

    package static func polygon(_ polygon: Polygon) -> Geofence { .area(MultiPolygon(polygon)) }

    package func contains(_ place: Place) -> Bool {
        switch self {
        case .circle(let circle): circle.signedDistance(to: place) <= 0
        case .area(let area): area.contains(place)
        case .corridor(let corridor): corridor.signedDistance(to: place) <= 0
        }
    }

    /// Returns the distance to the border in metres, negative inside.
    package func signedDistance(to place: Place) -> Double {
        switch self {
        case .circle(let circle): circle.signedDistance(to: place)
        case .area(let area): area.signedDistance(to: place)
        case .corridor(let corridor): corridor.signedDistance(to: place)
        }
    }

    /// Returns the parts of the straight way between two places that are inside, in order.
    /// - Returns: Ranges of fractions of the way, in 0...1. A way that touches the border in a point is not inside; one
    ///   along the border may be either, by rounding.
    package func stretches(from start: Place, to end: Place) -> [ClosedRange<Double>] {
        let way = Segment(from: start, to: end)
        return switch self {
        case .circle(let circle): circle.stretches(of: way)
        case .area(let area): area.stretches(of: way)
        case .corridor(let corridor): corridor.stretches(of: way)
        }
    }
}
