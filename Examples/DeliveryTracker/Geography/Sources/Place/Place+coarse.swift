extension Place {
    /// Returns the centre of the grid's cell in which the place lies, so that a customer sees the district and not the
    /// door while a driver is not yet on the way.
    ///
    /// All places of a cell give the same result. A random offset would not hide anything: its average is the place.
    /// - Parameter size: The height and width of the cells in metres, about, in 1...1,000,000. Near a pole a cell is wider
    ///   than high, and the last one is a disc.
    package func coarse(to size: Double = 1000) -> Place {
        let size = size.isNaN ? 1000 : min(1_000_000, max(1, size))
        let rows = (180 * Earth.metresPerDegree / size).rounded(.up)
        let row = min(rows - 1, ((latitude + 90) / 180 * rows).rounded(.down))
        let center = (row + 0.5) / rows * 180 - 90
        let columns = max(1, (360 * Earth.metresPerDegree * cosine(center.radians) / size).rounded())
        let column = ((longitude + 180) / 360 * columns).rounded(.down)
        // Longitude 180 is the same meridian as -180.
        let wrapped = column < columns ? column : 0
        return Place(wrapping: center, (wrapped + 0.5) / columns * 360 - 180)
    }
}
