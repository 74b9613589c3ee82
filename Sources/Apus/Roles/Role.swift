/// What a process does: the first argument of the command line.
public enum Role: String, Sendable, CaseIterable {
    /// Everything in one process, migrations first: what happens without a role.
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

    var summary: String {
        switch self {
        case .all: "Apply the migrations, answer requests and run background jobs in one process."
        case .serve: "Answer requests."
        case .worker: "Run background jobs."
        case .migrate: "Apply the migrations and end."
        case .routes: "List the routes and end."
        case .openapi: "Print the OpenAPI document and end."
        }
    }
}
