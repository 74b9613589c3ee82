import ApusCore
package import ApusData
package import ApusHTTP
package import ApusJobs
import ApusRateLimit
import ApusServer
package import ApusLogging
import FoundationEssentials
package import Logging
package import ServiceLifecycle

extension Assembly {
    /// Closes the database and what the processes share, and then ends the event loops of the server.
    package func close() async {
        await resources.close()
        await resources.eventLoops.shutDown()
    }
}

/// An assembled app: everything is built and checked, but nothing runs yet.
package struct Assembly: Sendable {
    /// Handles requests, wrapped in the global middleware.
    package let handler: Handler
    /// The parts of the app.
    package let container: Container
    /// The router with all routes.
    package let router: Router
    /// Applies the migrations; `nil` without a database.
    package let migrator: Migrator?
    /// The database; `nil` without one.
    package let database: (any Database)?
    /// The database and what the processes share. Closed last.
    let resources: SharedResources
    /// Runs jobs; `nil` without a database.
    package let jobRunner: JobRunner?
    /// The additional services of the modules.
    package let services: [any Service]
    package let readiness: Readiness
    package let logger: Logger
    let server: Server.Configuration
    let isDevelopment: Bool
}

extension App {
    /// Assembles the app.
    /// - Throws: A ``StartupError`` that lists all problems.
    package func assemble(settings: Settings, logOutput: LogOutput = .standardOutput) throws -> Assembly {
        var builder = AppBuilder(settings: settings)
        let common = CommonSettings(settings, of: self)
        let logger = common.logger(label: name, output: logOutput)
        let database = openDatabase(common, settings)
        let shared = openSharedState(common, settings, logger)
        for module in modules { try module.configure(&builder) }
        provideCommonParts(&builder, database, logger)
        builder.provideSharedParts(shared, database)
        for (id, provider) in overrides { builder.override(id, with: provider) }
        for problem in builder.problems + builder.queueProblems { settings.reportProblem(problem) }
        checkPublicSecrets(common, settings, logger)
        if database == nil, engines.isEmpty, !builder.workers.isEmpty || !builder.schedules.isEmpty {
            settings.reportProblem(
                "This app has workers or schedules, but no database to store their jobs; give it an engine: App(…, engines: SQLiteEngine()), or PostgresEngine()."
            )
        }
        try settings.check()

        let container = try Container(building: builder.providers)
        let readiness = Readiness(database: database, shared: shared)
        let routes = Routes()
        routes.attach(try container.resolve((any RateLimiter).self))
        let middleware = routes.configured(common.middleware + (try builder.middleware.build(container)))
        let router = try router(routes, builder, container, readiness, common, middleware)
        let workers = try builder.workers.build(container)
        let schedules = try builder.schedules.build(container)
        let duplicates = JobRunner.problems(of: workers) + JobSchedule.duplicateNames(of: schedules)
        guard duplicates.isEmpty else { throw StartupError(problems: duplicates) }
        var jobs = common.jobs
        jobs.queues = builder.queues
        let runner = try database.map { _ in
            JobRunner(
                try container.resolve(), workers: workers, schedules: schedules, configuration: jobs, logger: logger)
        }
        return Assembly(
            handler: chain(middleware, { await router.respond(to: $0) }),
            container: container,
            router: router,
            migrator: database.map { Migrator($0, Self.migrations(of: builder)) },
            database: database,
            resources: SharedResources(database: database, shared: shared),
            jobRunner: runner,
            services: try builder.services.build(container),
            readiness: readiness,
            logger: logger,
            server: common.server,
            isDevelopment: settings.environment == "development")
    }

    private static func migrations(of builder: AppBuilder) -> [any Migration.Type] {
        JobQueue.migrations + builder.migrations.all
    }

    /// Returns the migrations of an app with a database, in order, without assembling it.
    package func migrations(settings: Settings) throws -> [any Migration.Type] {
        var builder = AppBuilder(settings: settings)
        for module in modules { try module.configure(&builder) }
        return Self.migrations(of: builder)
    }

    /// Checks that secrets with default values from the source code are used on the local machine only.
    private func checkPublicSecrets(_ common: CommonSettings, _ settings: Settings, _ logger: Logger) {
        let publicSecrets = settings.publicSecrets
        guard !publicSecrets.isEmpty else { return }
        let keys = publicSecrets.joined(separator: ", ")
        let signs = common.signsOfOutsideAccess
        if signs.isEmpty {
            logger.warning("These settings use public development defaults.", metadata: ["keys": .string(keys)])
        } else {
            settings.reportProblem(
                "\(keys): a development default is allowed on the loopback interface only, but \(signs.joined(separator: ", "))."
            )
        }
    }

    private func openDatabase(_ common: CommonSettings, _ settings: Settings) -> (any Database)? {
        guard let (url, options) = common.database, let engine = engine(of: url, settings) else { return nil }
        do {
            return try engine.open(url, options)
        } catch {
            settings.reportProblem("Cannot open the database of database.url: \(error)")
            return nil
        }
    }

    /// Returns the engine that opens a URL; `nil` if there is none, which is reported unless the app has no engines.
    func engine(of url: String, _ settings: Settings) -> (any DatabaseEngine)? {
        guard !engines.isEmpty else { return nil }
        let scheme = String(url.cut(at: ":")?.before ?? Substring(url))
        if let engine = engines.first(where: { $0.schemes.contains(scheme) }) { return engine }
        let supported = engines.flatMap(\.schemes).joined(separator: ", ")
        settings.reportProblem("database.url has the scheme \"\(scheme)\"; this app supports \(supported).")
        return nil
    }

    private func provideCommonParts(_ builder: inout AppBuilder, _ database: (any Database)?, _ logger: Logger) {
        let settings = builder.settings
        builder.provide(Settings.self) { _ in settings }
        builder.provide(Logger.self) { _ in logger }
        builder.provide((any WallClock).self) { _ in SystemClock() }
        guard let database else { return }
        builder.provide((any Database).self) { _ in database }
        builder.provide(UnitOfWork.self) { UnitOfWork(try $0.resolve()) }
        builder.provide(JobQueue.self) {
            let pubSub: any PubSub = try $0.resolve()
            // Within a process, a queue needs no messages.
            return JobQueue(
                try $0.resolve(), clock: try $0.resolve(), pubSub: pubSub is MemoryPubSub ? nil : pubSub)
        }
    }

    private func router(
        _ routes: Routes, _ builder: AppBuilder, _ container: Container, _ readiness: Readiness,
        _ common: CommonSettings, _ middleware: [any Middleware]
    ) throws -> Router {
        common.grpc.configure(routes)
        let description = APIDescription(title: name, version: version)
        readiness.addRoutes(to: routes)
        if common.servesDocs { description.addRoutes(to: routes) }
        for build in builder.routeBuilders { try build(routes, container) }
        try common.grpc.addServices(of: builder, container, readiness, to: routes)
        routes.describe(globalMiddleware: middleware)
        var problems: [RouteError] = []
        let router = Router(routes, &problems)
        guard problems.isEmpty else { throw StartupError(problems: problems.map(\.description)) }
        description.describe(router)
        return router
    }
}
