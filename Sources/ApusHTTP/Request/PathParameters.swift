import ApusCore

/// The values of a route's `:name` segments. Few, so lists are faster than a dictionary.
public struct PathParameters: Sendable {
    private var names: [String] = []
    private var values: [String] = []

    init() {}

    /// - Parameter values: One for each name.
    init(names: [String], values: [String]) {
        self.names = names
        self.values = values
    }

    /// The decoded value of a segment.
    public subscript(name: String) -> String? {
        names.firstIndex { $0.isExactly(name) }.map { values[$0] }
    }
}
