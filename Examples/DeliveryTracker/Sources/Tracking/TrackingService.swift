import Apus
import Synchronization

/// Takes in the fixes of drivers and keeps the latest of each.
final class TrackingService: Sendable {
    private struct State {
        var filters: [Account.ID: FixFilter] = [:]
        var positions: [Account.ID: PositionView] = [:]
        var accepted = 0
        var dropped: [FixRefusal: Int] = [:]
    }

    private let feed: LiveFeed
    private let orders: OrderService
    private let limiter: any RateLimiter
    private let clock: any WallClock
    private let state = Mutex(State())

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
            }
            feed.announce(position, for: try await orders.current(of: driver)?.id)
        } catch let refusal as FixRefusal {
            count(refusal)
            throw refusal
        }
    }

    /// Counts a fix that was dropped.
    func count(_ refusal: FixRefusal) { state.withLock { $0.dropped[refusal, default: 0] += 1 } }

    /// The latest position of a driver.
    func position(of driver: Account.ID?) -> PositionView? {
        driver.flatMap { driver in state.withLock { $0.positions[driver] } }
    }

    /// The latest position of every driver.
    var positions: [PositionView] { state.withLock { Array($0.positions.values) } }

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
