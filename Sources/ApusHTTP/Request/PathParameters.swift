import ApusCore

/// The values of a route's `:name` segments.
public struct PathParameters: Sendable {
    // Routes have few parameters, for which arrays are faster than a dictionary.
    private var names: [String] = []
    private var values: [String] = []

    init() {}

    /// - Parameter values: One value for each name, in the same order.
    init(names: [String], values: [String]) {
        self.names = names
        self.values = values
    }

    /// The percent-decoded value of a segment; `nil` if the route has no segment of this name.
    public subscript(name: String) -> String? {
        names.firstIndex(ofExactly: name).map { values[$0] }
    }
}
