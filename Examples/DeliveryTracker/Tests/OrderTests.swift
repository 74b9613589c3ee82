import ApusCore
import FoundationEssentials
import Geography
import Testing

@testable import DeliveryTracker

@Suite struct OrderTests {
    private let driver = Account.ID()

    private func order() -> Order {
        Order(
            id: Order.ID(), customer: Account.ID(), item: "Tea", pickup: Place(wrapping: 38.7, -9.1),
            dropoff: Place(wrapping: 38.8, -9.1), price: Money(amount: 250, currency: "EUR"),
            placedAt: Date())
    }

    @Test func `An order goes through the states from payment to delivery`() throws {
        var order = order()
        try order.confirmPayment()
        try order.assign(to: driver)
        try order.pickUp(by: driver)
        try order.deliver(by: driver)
        #expect(order.state == .delivered)
        #expect(order.state.isFinal)
    }

    @Test func `No step can be skipped or repeated`() throws {
        var order = order()
        #expect(throws: OrderError.invalidTransition(from: .awaitingPayment)) { try order.assign(to: driver) }
        try order.confirmPayment()
        #expect(throws: OrderError.invalidTransition(from: .paid)) { try order.confirmPayment() }
        try order.assign(to: driver)
        #expect(throws: OrderError.invalidTransition(from: .assigned)) { try order.deliver(by: driver) }
        #expect(throws: OrderError.invalidTransition(from: .assigned)) { try order.cancel() }
    }

    @Test func `The first driver gets the order, and no other driver can take or handle it`() throws {
        var order = order()
        try order.confirmPayment()
        try order.assign(to: driver)
        // Idempotent: a driver who did not receive the response retries.
        try order.assign(to: driver)
        #expect(throws: OrderError.takenByAnotherDriver) { try order.assign(to: Account.ID()) }
        #expect(throws: OrderError.notAssignedToDriver) { try order.pickUp(by: Account.ID()) }
    }

    @Test func `The distance is the great-circle distance`() {
        let lisbon = Place(wrapping: 38.7223, -9.1393)
        let porto = Place(wrapping: 41.1579, -8.6291)
        #expect((273_000...275_000).contains(lisbon.distance(to: porto)))
        #expect(lisbon.distance(to: lisbon) == 0)
    }
}
