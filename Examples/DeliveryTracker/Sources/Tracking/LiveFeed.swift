import Apus
import Geography

/// Publishes changes of orders and positions of drivers to connected clients, in all processes.
final class LiveFeed: Sendable {
    private enum Room: Hashable, Codable, Sendable {
        case order(Order.ID)
        case fleet
    }

    private let hub: Hub<Room>
    private let watches: OrderWatches
    private let logger: Logger

    init(pubSub: any PubSub, watches: OrderWatches, logger: Logger) {
        hub = Hub("live-feed", sharedThrough: pubSub, logger: logger)
        self.watches = watches
        self.logger = logger
    }

    /// Returns whether the customer of an order is connected, to whatever process.
    func isWatched(_ order: Order) async throws -> Bool { try await watches.isWatched(order.id) }

    /// Subscribes to one order while the body runs.
    func watch(_ order: Order.ID, _ body: (HubMember) async throws -> Void) async throws {
        try await watches.watch(order) { try await hub.join(.order(order), body) }
    }

    /// Subscribes to all orders and drivers while the body runs.
    func watchFleet(_ body: (HubMember) async throws -> Void) async throws {
        try await hub.join(.fleet, capacity: 1024, body)
    }

    /// Publishes an order once the current transaction is committed.
    func publish(_ order: Order) {
        UnitOfWork.afterCommit {
            self.send(.order(OrderView(order)), to: [.order(order.id), .fleet], key: "order:\(order.id)")
        }
    }

    /// Publishes the position of a driver. A client that does not keep up receives only the latest one.
    func publish(_ position: PositionView, for order: Order.ID?) {
        send(.position(position), to: (order.map { [.order($0)] } ?? []) + [.fleet], key: "driver:\(position.driver)")
    }

    private func send(_ message: FeedMessage, to rooms: [Room], key: String) {
        do {
            try hub.broadcast(json: message, to: rooms, key: key)
        } catch {
            logger.error("A feed message could not be encoded.", metadata: ["error": "\(error)"])
        }
    }
}

/// The position of a driver.
struct PositionView: Codable, Sendable {
    let driver: Account.ID
    let place: Place
    let at: Date
}

/// A message of the live feed.
enum FeedMessage: Encodable, Sendable {
    case order(OrderView)
    case position(PositionView)
    case snapshot(orders: [OrderView], positions: [PositionView])
    /// Sent to a driver whose fix was dropped.
    case dropped(FixRejection)

    private enum Keys: String, CodingKey {
        case type, order, position, orders, positions, reason
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        switch self {
        case .order(let order):
            try container.encode("order", forKey: .type)
            try container.encode(order, forKey: .order)
        case .position(let position):
            try container.encode("position", forKey: .type)
            try container.encode(position, forKey: .position)
        case .snapshot(let orders, let positions):
            try container.encode("snapshot", forKey: .type)
            try container.encode(orders, forKey: .orders)
            try container.encode(positions, forKey: .positions)
        case .dropped(let reason):
            try container.encode("dropped", forKey: .type)
            try container.encode(reason, forKey: .reason)
        }
    }
}
