/// An area between two parallels and two meridians. Its border belongs to it.
package struct BoundingBox: Hashable, Sendable {
    package let southWest: Place
    package let northEast: Place

    /// Creates a box that extends east from one corner to the other, across the antimeridian if need be.
    /// A south that is north of the north is an empty box.
    package init(southWest: Place, northEast: Place) {
        self.southWest = southWest
        self.northEast = northEast
    }

    /// Creates the smallest box around a circle. One that contains a pole has all longitudes.
    /// - Parameter radius: In metres. What is negative or not a number counts as 0.
    package init(center: Place, radius: Double) {
        // The margin makes up for rounding: a place at the radius is in the box.
        let angle = min(.pi, max(0, radius.isNaN ? 0 : radius) / Earth.radius + 1e-11)
        let south = center.latitude - angle.degrees
        let north = center.latitude + angle.degrees
        guard south > -90, north < 90 else {
            southWest = Place(wrapping: south, -180)
            northEast = Place(wrapping: north, 180)
            return
        }
        let width = arcsine(sine(angle) / cosine(center.latitude.radians)).degrees + 1e-9
        southWest = Place(wrapping: south, center.longitude - width)
        northEast = Place(wrapping: north, center.longitude + width)
    }

    package var crossesAntimeridian: Bool { southWest.longitude > northEast.longitude }

    package func contains(_ place: Place) -> Bool {
        guard southWest.latitude <= place.latitude, place.latitude <= northEast.latitude else { return false }
        return longitudes.contains { $0.contains(place.longitude) }
    }

    /// The longitudes, in two ranges if the box crosses the antimeridian.
    var longitudes: [ClosedRange<Double>] {
        let (west, east) = (southWest.longitude, northEast.longitude)
        // A meridian that is written as 180 is also at -180.
        if west > east { return [west...180, -180...east] }
        if east == 180 && west > -180 { return [west...east, -180...(-180)] }
        return west == -180 && east < 180 ? [west...east, 180...180] : [west...east]
    }
}
