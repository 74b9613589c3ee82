import Apus
import Geography
import Synchronization

/// Receives the fixes of drivers and keeps the latest position of each, in whatever process its driver is connected.
final class TrackingService: Sendable {
    private struct State {
        var filters: [Account.ID: FixFilter] = [:]
        var positions: [Account.ID: PositionView] = [:]
        var accepted = 0
        var dropped: [FixRejection: Int] = [:]

        mutating func pruneIfNecessary(now: Date) {
            guard positions.count > TrackingService.pruningThreshold else { return }
            positions = positions.filter { $0.value.at >= now - TrackingService.lifetime }
            filters = filters.filter { positions[$0.key] != nil }
        }
    }

    private let feed: LiveFeed
    private let orders: OrderService
    private let limiter: any RateLimiter
    private let clock: any WallClock
    private let state = Mutex(State())

    /// How long a position is shown, in seconds.
    private static let lifetime = 300.0
    /// The number of positions above which old ones are removed.
    private static let pruningThreshold = 1000

    /// The rate is limited in all processes together, and fixes are not stored yet, so that one that is not the newest is of
    /// no use.
    private static let filter = {
        var configuration = FixFilter.Configuration()
        configuration.rate = nil
        configuration.static = nil
        configuration.maximumHistoryAge = configuration.maximumAge
        return FixFilter(configuration: configuration)
    }()

    /// Devices report once per second; the limit leaves room for a burst of fixes after a tunnel.
    private static let fixLimit = RateLimitPolicy(20, per: .seconds(10))

    init(feed: LiveFeed, orders: OrderService, limiter: any RateLimiter, clock: any WallClock) {
        self.feed = feed
        self.orders = orders
        self.limiter = limiter
        self.clock = clock
    }

    /// Processes a fix, and publishes the position to the watchers of the driver's order.
    /// - Throws: A ``FixRejection``, which is counted, or a database error.
    func receive(_ report: FixReport, from driver: Driver) async throws {
        do {
            guard try await limiter.take("gps:\(driver.id)", limit: Self.fixLimit).isAllowed else {
                throw FixRejection.rate
            }
            let now = clock.now
            let position = try state.withLock { state in
                switch state.filters[driver.id, default: Self.filter].receive(report, at: now) {
                case .rejected(let reason): throw reason
                case .historical: throw FixRejection.stale
                case .current(let fix):
                    let position = PositionView(driver: driver.id, place: fix.place, at: fix.time)
                    state.positions[driver.id] = position
                    state.accepted += 1
                    state.pruneIfNecessary(now: now)
                    return position
                }
            }
            feed.publish(position, for: try await orders.current(of: driver)?.id)
        } catch let rejection as FixRejection {
            count(rejection)
            throw rejection
        }
    }

    /// Keeps a position that another process has accepted, unless a newer one is known.
    func note(_ position: PositionView) {
        state.withLock { state in
            if let known = state.positions[position.driver], known.at >= position.at { return }
            state.positions[position.driver] = position
            let now = clock.now
            let fix = Fix(place: position.place, deviceTime: position.at, receivedAt: now)
            state.filters[position.driver, default: Self.filter].adopt(fix)
            state.pruneIfNecessary(now: now)
        }
    }

    /// Counts a dropped fix.
    func count(_ rejection: FixRejection) { state.withLock { $0.dropped[rejection, default: 0] += 1 } }

    /// Returns the latest position of a driver, unless it has expired.
    func position(of driver: Account.ID?) -> PositionView? {
        guard let driver, let position = state.withLock({ $0.positions[driver] }) else { return nil }
        return position.at >= clock.now - Self.lifetime ? position : nil
    }

    /// The latest positions of all drivers, without expired ones.
    var positions: [PositionView] {
        let start = clock.now - Self.lifetime
        return state.withLock { $0.positions.values.filter { $0.at >= start } }
    }

    /// The number of accepted fixes, and the number of dropped fixes by reason.
    var statistics: TrackingStatistics {
        state.withLock { state in
            let dropped = FixRejection.allCases.map { ($0.rawValue, state.dropped[$0] ?? 0) }
            return TrackingStatistics(accepted: state.accepted, dropped: Dictionary(uniqueKeysWithValues: dropped))
        }
    }
}

struct TrackingStatistics: Codable, Sendable, ResponseConvertible {
    let accepted: Int
    let dropped: [String: Int]
}
