/// A few streets of Lisbon, laid out as a grid.
enum City {
    /// Metres a second: a scooter in a hurry.
    static let speed = 40.0

    private static let center = Place(latitude: 38.7369, longitude: -9.1427)
    private static let block = 0.0025
    private static let items = [
        "Francesinha", "Two pastéis de nata", "Bacalhau à Brás", "Caldo verde", "A bunch of basil",
    ]

    /// A street corner.
    static func corner() -> Place {
        Place(
            latitude: center.latitude + Double(Int.random(in: -5...5)) * block,
            longitude: center.longitude + Double(Int.random(in: -7...7)) * block)
    }

    static func item() -> String { items.randomElement() ?? items[0] }

    static func between(_ start: Place, _ end: Place, share: Double) -> Place {
        Place(
            latitude: start.latitude + (end.latitude - start.latitude) * share,
            longitude: start.longitude + (end.longitude - start.longitude) * share)
    }
}
