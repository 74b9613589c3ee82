import Apus

struct TrackingModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        app.provide(LiveFeed.self) { LiveFeed(logger: try $0.resolve()) }
        app.provide(TrackingService.self) {
            let clock: any WallClock = try $0.resolve()
            return TrackingService(
                feed: try $0.resolve(), orders: try $0.resolve(), limiter: MemoryRateLimiter(clock: clock), clock: clock
            )
        }
        app.routes { routes, container in
            TrackingRoutes(
                orders: try container.resolve(), tracking: try container.resolve(), feed: try container.resolve()
            ).add(to: routes)
        }
    }
}
