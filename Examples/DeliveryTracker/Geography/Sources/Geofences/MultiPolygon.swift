/// One polygon or several.
package struct MultiPolygon: Hashable, Sendable {
    package let polygons: [Polygon]

    package init(_ polygon: Polygon) {
        polygons = [polygon]
    }

    /// - Throws: ``GeofenceError/numberOfPolygons(_:)`` if there are none, ``GeofenceError/tooManyVertices(_:)``.
    package init(_ polygons: [Polygon]) throws(GeofenceError) {
        guard !polygons.isEmpty else { throw .numberOfPolygons(0) }
        let count = polygons.reduce(0) { $0 + $1.rings.reduce(0) { $0 + $1.vertices.count } }
        guard count <= Polygon.maximumVertices else { throw .tooManyVertices(count) }
        self.polygons = polygons
    }

    package func contains(_ place: Place) -> Bool {
        polygons.contains { $0.contains(place) }
    }

    func signedDistance(to place: Place) -> Double {
        polygons.lazy.map { $0.signedDistance(to: place) }.reduce(.infinity, min)
    }

    func stretches(of way: Segment) -> [Stretch] {
        Stretch.union(polygons.flatMap { $0.stretches(of: way) })
    }
}
