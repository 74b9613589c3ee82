/// The reason why a fence is not valid. Rings are counted from 0, which is the outer one; so are the edges of a ring.
package enum GeofenceError: Error, Equatable {
    /// The radius of a circle, which is out of range or not a number.
    case radius(Double)
    /// The width of a corridor, which is out of range or not a number.
    case width(Double)
    /// The number of places of a corridor's line.
    case lineLength(Int)
    /// The number of different vertices of a ring, which must be three at least.
    case tooFewVertices(ring: Int, count: Int)
    /// The number of vertices of all rings.
    case tooManyVertices(Int)
    /// Two edges cross or touch each other.
    case selfIntersection(ring: Int, edges: [Int])
    /// The ring goes around a pole.
    case enclosesPole(ring: Int)
    /// The polygon extends over that many degrees of longitude.
    case tooWide(Double)
    /// A hole is not within the outer ring.
    case holeOutside(ring: Int)
    case holesOverlap(rings: [Int])
    /// The last position of a ring of GeoJSON is not the first one.
    case notClosed(ring: Int)
    /// GeoJSON of another type, such as a point.
    case unsupportedType(String)
    /// GeoJSON of several polygons, or none, where one is expected.
    case numberOfPolygons(Int)
}

extension GeofenceError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .radius(let value): "The radius is \(value) m; it must be in \(Circle.radii) m."
        case .width(let value): "The width is \(value) m; it must be in \(Corridor.widths) m."
        case .lineLength(let count): "The line has \(count) places; it must have \(Corridor.counts)."
        case .tooFewVertices(let ring, let count):
            "Ring \(ring) has \(count) different vertices; it must have three or more."
        case .tooManyVertices(let count):
            "The rings have \(count) vertices; they can have \(Polygon.maximumVertices) together."
        case .selfIntersection(let ring, let edges):
            "The edges \(edges.map(String.init).joined(separator: " and ")) of ring \(ring) cross or touch each other."
        case .enclosesPole(let ring): "Ring \(ring) goes around a pole."
        case .tooWide(let degrees):
            "The polygon is \(degrees)° wide; it must be narrower than \(Polygon.maximumWidth)°."
        case .holeOutside(let ring): "Ring \(ring) is a hole that is not within the outer ring."
        case .holesOverlap(let rings):
            "The rings \(rings.map(String.init).joined(separator: " and ")) are holes that overlap."
        case .notClosed(let ring): "The last position of ring \(ring) is not the first one."
        case .unsupportedType(let type): "The type is \(type); it must be Polygon or MultiPolygon."
        case .numberOfPolygons(let count): "There are \(count) polygons; there must be one."
        }
    }
}
