import Apus

/// Serves the dashboard of background jobs at `/operations/jobs`, if there is a password for it.
struct OperationsModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        guard let password = app.settings.optionalSecret("operations.password", minimumBytes: 12) else { return }
        app.routes { routes, container in
            routes.jobDashboard(
                "operations/jobs", of: try container.resolve(),
                BasicAuthentication(user: "operator", password: password))
        }
    }
}
