/// The sphere that stands in for the Earth.
enum Earth {
    /// The mean radius R₁ = (2a + b) / 3 of the ellipsoid WGS-84, in metres.
    static let radius = 6_371_008.7714
    /// The length of a degree along a great circle, in metres.
    static let metresPerDegree = radius * .pi / 180
}

/// Arithmetic on longitudes, which are the same after a full turn.
enum Longitude {
    /// Returns the longitude in -180...180 that is the same as the degrees.
    static func wrapped(_ degrees: Double) -> Double {
        (-180...180).contains(degrees) ? degrees : degrees.remainder(dividingBy: 360)
    }

    /// Returns the shorter way from a longitude to another, in -180...180 degrees. East is positive.
    static func difference(from start: Double, to end: Double) -> Double {
        (end - start).remainder(dividingBy: 360)
    }
}
