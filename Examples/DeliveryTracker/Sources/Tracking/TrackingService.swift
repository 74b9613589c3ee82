import Apus
import Synchronization

/// Takes in the fixes of drivers and keeps the latest of each.
final class TrackingService: Sendable {
    private struct State {
        var filters: [Account.ID: FixFilter] = [:]
        var positions: [Account.ID: PositionView] = [:]
        var accepted = 0
        var dropped: [FixRefusal: Int] = [:]

        mutating func forget(before date: Date) {
            positions = positions.filter { $0.value.at >= date }
            filters = filters.filter { positions[$0.key] != nil }
        }
    }

    private let feed: LiveFeed
    private let orders: OrderService
    private let limiter: any RateLimiter
    private let clock: any WallClock
    private let state = Mutex(State())

    /// How long a position is worth showing, in seconds.
    private static let lifetime = 300.0
    /// How many are remembered before old ones are looked for.
    private static let rememberedDrivers = 1000

    /// Devices report once a second; a few more after a tunnel are all right.
    private static let fixLimit = RateLimitPolicy(20, per: .seconds(10))

    init(feed: LiveFeed, orders: OrderService, limiter: any RateLimiter, clock: any WallClock) {
        self.feed = feed
        self.orders = orders
        self.limiter = limiter
        self.clock = clock
    }

    /// Takes in a fix, and tells those who watch the driver's order.
    /// - Throws: A ``FixRefusal``, which is counted, or what the database throws.
    func receive(_ fix: GPSFix, from driver: Driver) async throws {
        do {
            guard try await limiter.take("gps:\(driver.id)", limit: Self.fixLimit).isAllowed else {
                throw FixRefusal.flood
            }
            let position = PositionView(driver: driver.id, place: fix.place, at: fix.at)
            let now = clock.now
            try state.withLock { state in
                try state.filters[driver.id, default: FixFilter()].check(fix, now: now)
                state.positions[driver.id] = position
                state.accepted += 1
                if state.positions.count > Self.rememberedDrivers { state.forget(before: now - Self.lifetime) }
            }
            feed.announce(position, for: try await orders.current(of: driver)?.id)
        } catch let refusal as FixRefusal {
            count(refusal)
            throw refusal
        }
    }

    /// Counts a fix that was dropped.
    func count(_ refusal: FixRefusal) { state.withLock { $0.dropped[refusal, default: 0] += 1 } }

    /// The latest position of a driver, if it is not an old one.
    func position(of driver: Account.ID?) -> PositionView? {
        guard let driver, let position = state.withLock({ $0.positions[driver] }) else { return nil }
        return position.at >= clock.now - Self.lifetime ? position : nil
    }

    /// The latest position of every driver who reported of late.
    var positions: [PositionView] {
        let start = clock.now - Self.lifetime
        return state.withLock { $0.positions.values.filter { $0.at >= start } }
    }

    /// How many fixes were believed, and how many were dropped for which reason.
    var statistics: TrackingStatistics {
        state.withLock { state in
            let dropped = FixRefusal.allCases.map { ($0.rawValue, state.dropped[$0] ?? 0) }
            return TrackingStatistics(accepted: state.accepted, dropped: Dictionary(uniqueKeysWithValues: dropped))
        }
    }
}

struct TrackingStatistics: Codable, Sendable, ResponseConvertible {
    let accepted: Int
    let dropped: [String: Int]
}
