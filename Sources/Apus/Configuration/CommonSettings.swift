import ApusCore
import ApusData
import ApusHTTP
import ApusJobs
import ApusServer
import ApusLogging
import FoundationEssentials
import Logging

/// The settings of every app.
struct CommonSettings {
    let server: Server.Configuration
    let jobs: JobRunner.Configuration
    /// The URL of the database and how to use it; `nil` if the app has no engine, or the URL is missing.
    let database: (url: String, settings: DatabaseSettings)?
    /// The URL of what the processes share; `nil` if there is nothing.
    let sharedURL: String?
    /// Whether `/docs` and `/openapi.json` are served.
    let servesDocs: Bool
    let grpc: GRPCSupport
    private let logLevel: Logger.Level
    private let logFormat: LineLogHandler.Format
    private let crossOrigin: CORS?
    private let trustedProxies: [IPNetwork]
    private let forwardedFields: TrustedProxies.Fields
    private let trustsForwardedHost: Bool
    private let problemTypes: String?
    private let compresses: Bool
    private let decompresses: Bool

    init(_ settings: Settings, of app: App) {
        var server = Server.Configuration(
            listeners: Self.listeners(settings),
            threads: settings.int("http.threads", default: Server.Configuration().threads, in: 1...1024))
        server.limits.bodyBytes = settings.int("http.body-bytes", default: server.limits.bodyBytes, in: 0...1 << 40)
        server.limits.headBytes = settings.int("http.head-bytes", default: server.limits.headBytes, in: 256...1 << 20)
        server.limits.connections = settings.int(
            "http.connections", default: server.limits.connections, in: 1...10_000_000)
        server.limits.alwaysServed = Readiness.paths
        server.limits.requestsInFlight = settings.int(
            "http.requests-in-flight", default: server.limits.requestsInFlight, in: 1...10_000_000)
        server.limits.headTimeout = settings.duration(
            "http.head-timeout", default: server.limits.headTimeout, atLeast: .milliseconds(1))
        server.limits.idleTimeout = settings.duration(
            "http.idle-timeout", default: server.limits.idleTimeout, atLeast: .milliseconds(1))
        server.limits.requestDeadline = settings.duration(
            "http.request-deadline", default: server.limits.requestDeadline, atLeast: .milliseconds(1))
        let age = settings.duration("http.connection-age", default: .zero)
        server.limits.connectionAge = age > .zero ? age : nil
        server.limits.connectionAgeGrace = settings.duration(
            "http.connection-age-grace", default: server.limits.connectionAgeGrace)
        server.limits.pingInterval = settings.duration(
            "http.ping-interval", default: server.limits.pingInterval, atLeast: .milliseconds(1))
        server.limits.clientPingInterval = settings.duration(
            "http.client-ping-interval", default: server.limits.clientPingInterval)
        server.shutdownGrace = settings.duration("shutdown.grace", default: server.shutdownGrace)
        server.shutdownLimit = settings.duration("shutdown.limit", default: server.shutdownLimit)
        self.server = server

        // An app without a database has no jobs, either.
        jobs = app.hasDatabase ? Self.jobs(settings) : JobRunner.Configuration()
        database = app.hasDatabase ? Self.database(settings, of: app) : nil
        sharedURL = app.sharing.flatMap { settings.string($0.setting) }
        logLevel = settings.choice("log.level", default: Logger.Level.info)
        let isDevelopment = settings.environment == "development"
        logFormat = settings.choice("log.format", default: isDevelopment ? LineLogHandler.Format.text : .json)
        servesDocs = settings.bool("docs.enabled", default: isDevelopment)
        crossOrigin = Self.crossOrigin(settings)
        grpc = GRPCSupport(settings, name: app.name)
        trustedProxies = settings.networks("http.trusted-proxies")
        forwardedFields = settings.choice("http.forwarded-fields", default: TrustedProxies.Fields.xForwarded)
        trustsForwardedHost = settings.bool("http.trusts-forwarded-host", default: false)
        problemTypes = settings.string("http.problem-types")
        compresses = settings.bool("http.compression", default: false)
        decompresses = settings.bool("http.decompression", default: true)
    }

    private static func database(_ settings: Settings, of app: App) -> (url: String, settings: DatabaseSettings)? {
        var database = DatabaseSettings()
        database.slowQuery = settings.duration(
            "database.slow-query", default: database.slowQuery, atLeast: .milliseconds(1))
        let schemes = app.engines.flatMap(\.schemes)
        // Only an embedded database has an address that is right everywhere.
        if schemes.contains("sqlite") {
            return (settings.string("database.url", default: "sqlite:data/\(app.name).sqlite"), database)
        }
        if let url = settings.string("database.url") { return (url, database) }
        settings.reportProblem(
            "\(SettingDeclaration.names(of: "database.url")) is required: a URL with the scheme \(schemes.joined(separator: " or "))."
        )
        return nil
    }

    private static func jobs(_ settings: Settings) -> JobRunner.Configuration {
        var jobs = JobRunner.Configuration()
        jobs.concurrency = settings.int("jobs.concurrency", default: jobs.concurrency, in: 1...10_000)
        jobs.leaseDuration = settings.duration("jobs.lease", default: jobs.leaseDuration, atLeast: .milliseconds(100))
        jobs.pollInterval = settings.duration(
            "jobs.poll-interval", default: jobs.pollInterval, atLeast: .milliseconds(1))
        jobs.shutdownTimeout = settings.duration("jobs.shutdown-timeout", default: jobs.shutdownTimeout)
        jobs.cancellationGrace = settings.duration("jobs.cancellation-grace", default: jobs.cancellationGrace)
        jobs.maximumPrefetch = settings.int("jobs.prefetch", default: jobs.maximumPrefetch, in: 0...100_000)
        jobs.completedRetention = settings.duration("jobs.completed-retention", default: jobs.completedRetention)
        jobs.discardedRetention = settings.duration("jobs.discarded-retention", default: jobs.discardedRetention)
        return jobs
    }

    /// The reasons to assume that the service can be reached from other machines.
    var signsOfOutsideAccess: [String] {
        var signs = server.listeners.map(\.address).filter { !$0.isLoopback }.map { "the server listens on \($0)" }
        if !trustedProxies.isEmpty { signs.append("http.trusted-proxies names proxies") }
        if server.listeners.contains(where: { !$0.proxies.isEmpty }) {
            signs.append("http.proxies names proxies that speak the PROXY protocol")
        }
        return signs
    }

    /// The middleware of every app, outermost first. Errors are rendered inside the middleware that must see all responses.
    var middleware: [any Middleware] {
        var all: [any Middleware] = []
        // All following middleware must see the client's address, not the proxy's.
        if !trustedProxies.isEmpty {
            all.append(
                TrustedProxies(trustedProxies, fields: forwardedFields, trustsHost: trustsForwardedHost))
        }
        all += [RequestID(), AccessLog(), SecurityHeaders()]
        if let crossOrigin { all += grpc.crossOriginMiddleware + [crossOrigin] }
        if compresses { all.append(Compression()) }
        all.append(ErrorRendering(typePrefix: problemTypes))
        // Inside ErrorRendering, because gRPC errors are statuses, not documents.
        all += grpc.middleware
        if decompresses { all.append(Decompression()) }
        return all
    }

    func logger(label: String, output: LogOutput) -> Logger {
        Logger(label: label) { LineLogHandler(label: $0, format: logFormat, level: logLevel, output: output) }
    }

    /// Makes the loggers of libraries use the same format.
    func bootstrapLogging(output: LogOutput) {
        LoggingSystem.bootstrap { LineLogHandler(label: $0, format: logFormat, level: logLevel, output: output) }
    }
}
