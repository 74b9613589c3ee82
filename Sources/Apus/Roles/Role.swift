/// What a process does. The first argument of the command line selects it.
public enum Role: String, Sendable, CaseIterable {
    /// Applies the migrations, then answers requests and runs background jobs. The default.
    case all
    /// Answers requests.
    case serve
    /// Runs background jobs.
    case worker
    /// Applies the migrations and exits. `migrate down`, `status`, `dry-run` and `new` undo, list, show and create them.
    case migrate
    /// Writes a copy of the database into a file and exits.
    case backup
    /// Replaces the database by a backup and exits.
    case restore
    /// Checks that the stored data is sound and exits.
    case check
    /// Lists and administers background jobs and exits.
    case jobs
    /// Lists the routes and exits.
    case routes
    /// Prints the OpenAPI document and exits.
    case openapi

    /// Whether its output is a result for other programs. Logs then go to standard error.
    var printsResult: Bool {
        switch self {
        case .routes, .openapi, .migrate, .backup, .restore, .check, .jobs: true
        case .all, .serve, .worker: false
        }
    }

    var summary: String {
        switch self {
        case .all: "Apply the migrations, answer requests and run background jobs in one process."
        case .serve: "Answer requests."
        case .worker: "Run background jobs."
        case .migrate: "Apply the migrations and exit."
        case .backup: "Write a copy of the database into a file and exit. The service may run."
        case .restore: "Replace the database by a backup and exit. The service must be stopped."
        case .check: "Check that the stored data is sound and exit."
        case .jobs: "List and administer background jobs and exit. The service may run."
        case .routes: "List the routes and exit."
        case .openapi: "Print the OpenAPI document and exit."
        }
    }
}

/// What a process does, with the arguments of its role.
enum RoleTask: Sendable, Hashable {
    case run(Role)
    case migrate(MigrationAction)
    case backUp(file: String)
    case restore(file: String)
    case jobs(JobsAction)

    var role: Role {
        switch self {
        case .run(let role): role
        case .migrate: .migrate
        case .backUp: .backup
        case .restore: .restore
        case .jobs: .jobs
        }
    }
}

/// What the role `migrate` does.
enum MigrationAction: Sendable, Hashable {
    case up
    case down(count: Int)
    case status
    case dryRun
    case new(name: String)
}
