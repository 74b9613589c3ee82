/// A grid of streets in Lisbon.
enum City {
    /// The speed of drivers, in metres per second.
    static let speed = 40.0

    private static let center = Place(latitude: 38.7369, longitude: -9.1427)
    private static let block = 0.0025
    private static let items = [
        "Francesinha", "Two pastéis de nata", "Bacalhau à Brás", "Caldo verde", "A bunch of basil",
    ]

    /// Returns a random street corner.
    static func randomCorner() -> Place {
        Place(
            latitude: center.latitude + Double(Int.random(in: -5...5)) * block,
            longitude: center.longitude + Double(Int.random(in: -7...7)) * block)
    }

    static func randomItem() -> String { items.randomElement() ?? items[0] }

    static func interpolate(from start: Place, to end: Place, fraction: Double) -> Place {
        Place(
            latitude: start.latitude + (end.latitude - start.latitude) * fraction,
            longitude: start.longitude + (end.longitude - start.longitude) * fraction)
    }
}
