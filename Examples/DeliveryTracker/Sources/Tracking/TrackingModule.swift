import Apus

struct TrackingModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        app.migrations.add(CreateOrderWatches.self)
        app.provide(LiveFeed.self) {
            LiveFeed(
                pubSub: try $0.resolve(),
                watches: OrderWatches(database: try $0.resolve(), clock: try $0.resolve()), logger: try $0.resolve())
        }
        app.provide(TrackingService.self) {
            TrackingService(
                feed: try $0.resolve(), orders: try $0.resolve(), limiter: try $0.resolve(), clock: try $0.resolve())
        }
        app.services.add { PositionReceiver(feed: try $0.resolve(), tracking: try $0.resolve()) }
        app.routes { routes, container in
            TrackingRoutes(
                orders: try container.resolve(), tracking: try container.resolve(), feed: try container.resolve()
            ).add(to: routes)
        }
    }
}
