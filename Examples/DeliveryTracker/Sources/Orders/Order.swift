import ApusCore
import FoundationEssentials

/// Something to be brought from one place to another, and how far it has come.
struct Order: Identifiable, Sendable {
    typealias ID = Identifier<Order>

    enum State: String, Codable, Sendable, CaseIterable {
        case awaitingPayment = "awaiting_payment"
        case paid
        case assigned
        case pickedUp = "picked_up"
        case delivered
        case cancelled

        /// Whether nothing more can happen.
        var isFinal: Bool { self == .delivered || self == .cancelled }

        /// Whether the driver's whereabouts concern the customer.
        var isUnderWay: Bool { self == .assigned || self == .pickedUp }
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

    /// An order as it was stored.
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
        try move(from: .awaitingPayment, to: .paid)
    }

    /// Gives the order to a driver: to the first one who asks.
    mutating func assign(to driver: Account.ID) throws(OrderError) {
        // A driver whose answer was lost asks again.
        if self.driver == driver && state == .assigned { return }
        guard self.driver == nil else { throw .takenByAnotherDriver }
        try move(from: .paid, to: .assigned)
        self.driver = driver
    }

    mutating func pickUp(by driver: Account.ID) throws(OrderError) {
        try check(driver)
        try move(from: .assigned, to: .pickedUp)
    }

    mutating func deliver(by driver: Account.ID) throws(OrderError) {
        try check(driver)
        try move(from: .pickedUp, to: .delivered)
    }

    /// Gives up the order; not once it is on its way.
    mutating func cancel() throws(OrderError) {
        guard state == .awaitingPayment || state == .paid else { throw .notPossible(in: state) }
        state = .cancelled
    }

    private func check(_ driver: Account.ID) throws(OrderError) {
        guard self.driver == driver else { throw .notYours }
    }

    private mutating func move(from: State, to: State) throws(OrderError) {
        guard state == from else { throw .notPossible(in: state) }
        state = to
    }
}

enum OrderError: Error, Equatable {
    case takenByAnotherDriver
    case notYours
    case notPossible(in: Order.State)
}

/// A point on Earth, in degrees.
struct Place: Codable, Hashable, Sendable {
    let latitude: Double
    let longitude: Double

    /// The distance over the surface in metres, by the haversine formula.
    func distance(to other: Place) -> Double {
        let radius = 6_371_000.0
        let (a, b) = (latitude * .pi / 180, other.latitude * .pi / 180)
        let (dLat, dLon) = (b - a, (other.longitude - longitude) * .pi / 180)
        let h = pow2(sine(dLat / 2)) + cosine(a) * cosine(b) * pow2(sine(dLon / 2))
        return 2 * radius * arcsine(min(1, h.squareRoot()))
    }
}

/// An amount in the smallest unit of its currency.
struct Money: Codable, Hashable, Sendable {
    let amount: Int
    /// Three capital letters (ISO 4217).
    let currency: String
}
