/// A tree of path segments. Constants win over parameters, parameters over `**`; where a branch leads nowhere the next
/// one is tried.
struct RouteTrie: Sendable {
    private struct Node: Sendable {
        var constants: [String: Int] = [:]
        var parameter: Int?
        var rest: Int?
        /// The index of the endpoint that ends here.
        var endpoint: Int?
    }

    private var nodes = [Node()]

    /// Adds a pattern.
    /// - Parameter next: The index of the endpoint, should there be none of this shape yet.
    /// - Returns: The index of the shape's endpoint.
    mutating func insert(_ pattern: RoutePattern, next: Int) -> Int {
        var current = 0
        for segment in pattern.segments {
            switch segment {
            case .constant(let text):
                current = child(nodes[current].constants[text]) { $0.nodes[current].constants[text] = $1 }
            case .parameter: current = child(nodes[current].parameter) { $0.nodes[current].parameter = $1 }
            case .rest: current = child(nodes[current].rest) { $0.nodes[current].rest = $1 }
            }
        }
        if let endpoint = nodes[current].endpoint { return endpoint }
        nodes[current].endpoint = next
        return next
    }

    private mutating func child(_ existing: Int?, _ attach: (inout RouteTrie, Int) -> Void) -> Int {
        if let existing { return existing }
        nodes.append(Node())
        attach(&self, nodes.count - 1)
        return nodes.count - 1
    }

    /// The endpoint for decoded segments, or `nil`.
    func match(_ segments: [String]) -> Int? { match(segments[...], from: 0) }

    // The depth of the recursion is the depth of the deepest pattern, which the service's author wrote.
    private func match(_ segments: ArraySlice<String>, from index: Int) -> Int? {
        let node = nodes[index]
        guard let first = segments.first else { return node.endpoint }
        let others = segments.dropFirst()
        if let child = node.constants[first], let found = match(others, from: child) { return found }
        if !first.isEmpty, let child = node.parameter, let found = match(others, from: child) { return found }
        return node.rest.flatMap { nodes[$0].endpoint }
    }
}
