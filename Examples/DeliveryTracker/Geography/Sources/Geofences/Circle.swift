/// All places within a distance of a centre.
package struct Circle: Hashable, Sendable {
    /// The radii that a fence can have, in metres.
    package static let radii = 1.0...1_000_000

    package let center: Place
    /// In metres.
    package let radius: Double

    /// - Throws: ``GeofenceError/radius(_:)`` if the radius is not in ``radii``.
    package init(center: Place, radius: Double) throws(GeofenceError) {
        guard Self.radii.contains(radius) else { throw .radius(radius) }
        self.center = center
        self.radius = radius
    }

    func signedDistance(to place: Place) -> Double {
        center.distance(to: place) - radius
    }

    func stretches(of way: Segment) -> [Stretch] {
        let stretch = Stretch.within(radius) { center.distance(to: way.point(at: $0).place) }
        return stretch.map { [$0] } ?? []
    }
}
