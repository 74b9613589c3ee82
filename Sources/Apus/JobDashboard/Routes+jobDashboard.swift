import ApusCore
import ApusData
public import ApusHTTP
public import ApusJobs
import NIOCore

extension Routes {
    /// Declares a dashboard of jobs: a page that shows queues, jobs, schedules and processes live, and can retry, cancel and
    /// delete jobs and pause queues.
    ///
    /// ```swift
    /// app.routes { routes, container in
    ///     routes.jobDashboard("admin/jobs", of: try container.resolve(), Authenticated(Administrator.self))
    /// }
    /// ```
    /// Pages of other origins cannot use it. The page shows the arguments of jobs.
    /// - Parameters:
    ///   - path: Where to serve the page. What belongs to it is below.
    ///   - queue: The queue.
    ///   - policy: Who may use it: an input that throws for everyone else. A browser must be able to pass it, by a session or
    ///     ``BasicAuthentication``.
    public func jobDashboard(_ path: String, of queue: JobQueue, _ policy: some RequestInput) {
        let dashboard = JobDashboard(queue)
        group(path, CrossOriginProtection()) { routes in
            routes.group(policy) { routes in
                routes.get("", WholeRequest()) { _, request in dashboard.page(at: request.path) }.hidden()
                routes.get("jobs.js") { _ in Response(asset: PackageResources.jobs_js, type: "text/javascript") }
                    .hidden()
                routes.get("jobs.css") { _ in Response(asset: PackageResources.jobs_css, type: "text/css") }.hidden()
                routes.group("api") { dashboard.addAPI(to: $0) }
            }
        }
    }
}

extension Response {
    fileprivate init(asset bytes: [UInt8], type: String) {
        self.init(
            status: .ok,
            headers: [
                .contentType: "\(type); charset=utf-8", .cacheControl: "no-cache",
                .contentSecurityPolicy: JobDashboard.contentSecurityPolicy,
            ],
            body: .bytes(ByteBuffer(bytes: bytes)))
    }
}

/// The dashboard of a queue.
struct JobDashboard: Sendable {
    static let contentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'self'; form-action 'none'"

    /// The number of dead letters that one request retries. The page sends further ones.
    private static let maximumRetried = 10_000

    private let queue: JobQueue
    /// What all pages show is loaded once a second at most.
    private let cache = MemoryCache(maximumValues: 1)

    init(_ queue: JobQueue) { self.queue = queue }

    /// Returns the page. Its links are relative to the last segment of its path, whatever a proxy has removed before it.
    func page(at path: Substring) -> Response {
        let name = path.utf8.last == UInt8(ascii: "/") ? "" : "\(path.split(at: "/").last ?? "")/"
        let base: HTML = "./\(name)"
        let html = String(decoding: PackageResources.jobs_html, as: UTF8.self)
            .replacing("{{base}}", with: base.text)
        return Response(asset: Array(html.utf8), type: "text/html")
    }

    func addAPI<Principal>(to routes: RouteGroup<Principal>) {
        routes.get("overview") { _ in try await overview() }.hidden()
        routes.get("events") { _ in
            EventStream { events in
                var last: JobOverview?
                while true {
                    let overview = try await overview()
                    if overview.differs(from: last) {
                        try await events.send(ServerSentEvent(json: overview, event: "overview"))
                        last = overview
                    }
                    try await queue.clock.sleep(for: .seconds(1))
                }
            }
        }.hidden()
        addJobs(to: routes)
        routes.post("queues/pause", Body(JobSelection.self)) { _, selection in
            try await changing { try await queue.pause(try selection.requiredQueue) }
        }.hidden()
        routes.post("queues/resume", Body(JobSelection.self)) { _, selection in
            try await changing { try await queue.resume(try selection.requiredQueue) }
        }.hidden()
    }

    private func addJobs<Principal>(to routes: RouteGroup<Principal>) {
        routes.get(
            "jobs", Query("state", as: JobState.self), Query("kind", as: String?.self),
            Query("queue", as: String?.self), Query("tag", as: String?.self),
            Paging(by: JobCursor.self, limit: 50, maximum: 500)
        ) { _, state, kind, queue, tag, page in
            let (jobs, next) = try await self.queue.page(
                state, kind: kind, queue: queue, tag: tag, after: page.after, limit: page.limit)
            return try Page(jobs.map(JobSummary.init), next: next)
        }.hidden()
        routes.post("jobs/retry", Body(JobSelection.self)) { _, selection in
            let (count, isComplete) = try await queue.retryDiscarded(
                kind: selection.kind, queue: selection.queue, limit: Self.maximumRetried)
            await cache.remove("overview")
            return RetriedJobs(count: count, isComplete: isComplete)
        }.hidden()
        routes.get("jobs/:id", Path("id", as: JobRecord.ID.self)) { _, id in
            guard let job = try await queue.find(id) else {
                throw AppError(.notFound, "There is no job with the id \(id).")
            }
            return JobDetails(
                job: JobSummary(job), arguments: job.arguments.json, errors: try await queue.errors(of: id),
                needs: try await queue.needs(of: id))
        }.hidden()
        routes.post("jobs/:id/retry", Path("id", as: JobRecord.ID.self)) { _, id in
            try await changing { try await queue.retry(id) }
        }.hidden()
        routes.post("jobs/:id/cancel", Path("id", as: JobRecord.ID.self)) { _, id in
            try await changing { try await queue.cancel(id) }
        }.hidden()
        routes.delete("jobs/:id", Path("id", as: JobRecord.ID.self)) { _, id in
            try await changing { try await queue.delete(id) }
        }.hidden()
    }

    /// Changes something, so that the next overview shows it.
    private func changing(_ change: () async throws -> Void) async throws -> Response {
        try await change()
        await cache.remove("overview")
        return Response(status: .noContent)
    }

    private func overview() async throws -> JobOverview {
        try await cache.value(for: "overview", ttl: .seconds(1)) { [queue] in try await JobOverview(of: queue) }
    }
}
