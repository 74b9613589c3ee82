import Geography

/// A grid of streets in Lisbon.
enum City {
    /// The speed of drivers, in metres per second.
    static let speed = 40.0

    private static let center = Place(wrapping: 38.7369, -9.1427)
    private static let block = 0.0025
    private static let items = [
        "Francesinha", "Two pastéis de nata", "Bacalhau à Brás", "Caldo verde", "A bunch of basil",
    ]

    /// Returns a random street corner.
    static func randomCorner() -> Place {
        Place(
            wrapping: center.latitude + Double(Int.random(in: -5...5)) * block,
            center.longitude + Double(Int.random(in: -7...7)) * block)
    }

    static func randomItem() -> String { items.randomElement() ?? items[0] }
}
