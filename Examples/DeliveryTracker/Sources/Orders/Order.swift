import ApusCore
import FoundationEssentials
import Geography

/// An item to be delivered from one place to another, and the state of its delivery.
struct Order: Identifiable, Sendable {
    typealias ID = Identifier<Order>

    enum State: String, Codable, Sendable, CaseIterable {
        case awaitingPayment = "awaiting_payment"
        case paid
        case assigned
        case pickedUp = "picked_up"
        case delivered
        case cancelled

        /// Whether the state can no longer change.
        var isFinal: Bool { self == .delivered || self == .cancelled }

        /// Whether a driver is working on the order, so that the customer sees the driver's position.
        var isInProgress: Bool { self == .assigned || self == .pickedUp }
    }

    let id: ID
    let customer: Account.ID
    let item: String
    let pickup: Place
    let dropoff: Place
    let price: Money
    let placedAt: Date
    private(set) var state: State
    private(set) var driver: Account.ID?

    init(id: ID, customer: Account.ID, item: String, pickup: Place, dropoff: Place, price: Money, placedAt: Date) {
        self.init(
            id: id, customer: customer, item: item, pickup: pickup, dropoff: dropoff, price: price, placedAt: placedAt,
            state: .awaitingPayment, driver: nil)
    }

    /// Creates an order from its stored values.
    init(
        id: ID, customer: Account.ID, item: String, pickup: Place, dropoff: Place, price: Money, placedAt: Date,
        state: State, driver: Account.ID?
    ) {
        self.id = id
        self.customer = customer
        self.item = item
        self.pickup = pickup
        self.dropoff = dropoff
        self.price = price
        self.placedAt = placedAt
        self.state = state
        self.driver = driver
    }

    mutating func confirmPayment() throws(OrderError) {
        try transition(from: .awaitingPayment, to: .paid)
    }

    /// Assigns the order to a driver. The first driver to ask gets it.
    mutating func assign(to driver: Account.ID) throws(OrderError) {
        // Idempotent: a driver who did not receive the response retries.
        if self.driver == driver && state == .assigned { return }
        guard self.driver == nil else { throw .takenByAnotherDriver }
        try transition(from: .paid, to: .assigned)
        self.driver = driver
    }

    mutating func pickUp(by driver: Account.ID) throws(OrderError) {
        try requireAssignment(to: driver)
        try transition(from: .assigned, to: .pickedUp)
    }

    mutating func deliver(by driver: Account.ID) throws(OrderError) {
        try requireAssignment(to: driver)
        try transition(from: .pickedUp, to: .delivered)
    }

    /// Cancels the order, which is possible until a driver is assigned.
    mutating func cancel() throws(OrderError) {
        guard state == .awaitingPayment || state == .paid else { throw .invalidTransition(from: state) }
        state = .cancelled
    }

    private func requireAssignment(to driver: Account.ID) throws(OrderError) {
        guard self.driver == driver else { throw .notAssignedToDriver }
    }

    private mutating func transition(from: State, to: State) throws(OrderError) {
        guard state == from else { throw .invalidTransition(from: state) }
        state = to
    }
}

enum OrderError: Error, Equatable {
    case takenByAnotherDriver
    case notAssignedToDriver
    case invalidTransition(from: Order.State)
}

/// An amount of money, in the minor unit of its currency.
struct Money: Codable, Hashable, Sendable {
    let amount: Int
    /// The ISO 4217 code, three capital letters.
    let currency: String
}
