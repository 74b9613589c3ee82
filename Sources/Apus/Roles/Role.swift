/// What a process does. The first argument of the command line selects it.
public enum Role: String, Sendable, CaseIterable {
    /// Applies the migrations, then answers requests and runs background jobs. The default.
    case all
    /// Answers requests.
    case serve
    /// Runs background jobs.
    case worker
    /// Applies the migrations and exits.
    case migrate
    /// Lists the routes and exits.
    case routes
    /// Prints the OpenAPI document and exits.
    case openapi

    /// Whether its output is a result for other programs. Logs then go to standard error.
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
        case .migrate: "Apply the migrations and exit."
        case .routes: "List the routes and exit."
        case .openapi: "Print the OpenAPI document and exit."
        }
    }
}
