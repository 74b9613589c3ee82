import Apus
import NIOCore

/// What is told to those who watch: changes of orders, and where drivers are.
final class LiveFeed: Sendable {
    private enum Room: Hashable, Sendable {
        case order(Order.ID)
        case fleet
    }

    private let hub = Hub<Room>()
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    /// Whether the customer of an order is connected.
    func isWatched(_ order: Order) -> Bool { hub.count(in: .order(order.id)) > 0 }

    /// Watches one order as long as a body runs.
    func watch(_ order: Order.ID, _ body: (HubMember) async throws -> Void) async throws {
        try await hub.join(.order(order), body)
    }

    /// Watches everything as long as a body runs.
    func watchFleet(_ body: (HubMember) async throws -> Void) async throws {
        try await hub.join(.fleet, capacity: 1024, body)
    }

    /// Tells of an order once the present transaction is committed.
    func announce(_ order: Order) {
        UnitOfWork.afterCommit {
            self.send(.order(OrderView(order)), to: [.order(order.id), .fleet], key: "order:\(order.id)")
        }
    }

    /// Tells where a driver is. Only the latest position matters to a client that does not keep up.
    func announce(_ position: PositionView, for order: Order.ID?) {
        send(.position(position), to: (order.map { [.order($0)] } ?? []) + [.fleet], key: "driver:\(position.driver)")
    }

    private func send(_ message: FeedMessage, to rooms: [Room], key: String) {
        do {
            let text = WebSocketMessage.text(String(buffer: try JSONCoding.encode(message)))
            for room in rooms { hub.broadcast(text, to: room, key: key) }
        } catch {
            logger.error("A feed message could not be encoded.", metadata: ["error": "\(error)"])
        }
    }
}

/// Where a driver is.
struct PositionView: Codable, Sendable {
    let driver: Account.ID
    let place: Place
    let at: Date
}

/// A message to those who watch.
enum FeedMessage: Encodable, Sendable {
    case order(OrderView)
    case position(PositionView)
    case snapshot(orders: [OrderView], positions: [PositionView])
    /// To a driver: a fix was not believed.
    case dropped(FixRefusal)

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
