/// A figure that can be measured.
struct Figure: Sendable {
    let name: String
    let unit: String
    /// Measures it on the database of a URL, for a duration.
    let measure: @Sendable (_ url: String, _ duration: Duration) async throws -> Double

    static let all = SQLiteFigures.all + PostgresFigures.all + RedisFigures.all
}
