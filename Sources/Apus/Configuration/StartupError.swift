/// The reasons why an app cannot start.
public struct StartupError: Error, CustomStringConvertible, Equatable {
    /// The reasons, one sentence each.
    public let problems: [String]

    public init(problems: [String]) { self.problems = problems }

    public var description: String {
        let count = problems.count == 1 ? "1 problem" : "\(problems.count) problems"
        return "The app cannot start: \(count).\n" + problems.map { "  - \($0)" }.joined(separator: "\n")
    }
}
