/// What a process does: the first argument of the command line.
public enum Role: String, Sendable, CaseIterable {
    /// Everything in one process, migrations first: what happens without a verb.
    case all
    /// Answers requests.
    case serve
    /// Runs background jobs.
    case worker
    /// Applies the migrations and ends.
    case migrate
    /// Lists the routes and ends.
    case routes
    /// Prints the OpenAPI document and ends.
    case openapi

    /// Whether what it prints is for other programs: logs go to standard error then.
    var printsResult: Bool {
        switch self {
        case .routes, .openapi, .migrate: true
        case .all, .serve, .worker: false
        }
    }

    /// Splits the verb from the flags.
    /// - Throws: A ``StartupError`` for a verb that there is none of.
    static func parse(_ arguments: [String]) throws -> (role: Role, flags: [String]) {
        guard let first = arguments.first, !first.hasPrefix("-") else { return (.all, arguments) }
        guard let role = Role(rawValue: first) else {
            let known = allCases.map(\.rawValue).joined(separator: ", ")
            throw StartupError(problems: ["\"\(first)\" is not a verb of this program; \(known) are."])
        }
        return (role, Array(arguments.dropFirst()))
    }
}
