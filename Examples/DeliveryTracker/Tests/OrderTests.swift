import ApusCore
import FoundationEssentials
import Testing

@testable import DeliveryTracker

@Suite struct OrderTests {
    private let driver = Account.ID()

    private func order() -> Order {
        Order(
            id: Order.ID(), customer: Account.ID(), item: "Tea", pickup: Place(latitude: 38.7, longitude: -9.1),
            dropoff: Place(latitude: 38.8, longitude: -9.1), price: Money(amount: 250, currency: "EUR"),
            placedAt: Date())
    }

    @Test func `An order goes from payment to delivery, one step after the other`() throws {
        var order = order()
        try order.confirmPayment()
        try order.assign(to: driver)
        try order.pickUp(by: driver)
        try order.deliver(by: driver)
        #expect(order.state == .delivered)
        #expect(order.state.isFinal)
    }

    @Test func `No step may be left out or made twice`() throws {
        var order = order()
        #expect(throws: OrderError.notPossible(in: .awaitingPayment)) { try order.assign(to: driver) }
        try order.confirmPayment()
        #expect(throws: OrderError.notPossible(in: .paid)) { try order.confirmPayment() }
        try order.assign(to: driver)
        #expect(throws: OrderError.notPossible(in: .assigned)) { try order.deliver(by: driver) }
        #expect(throws: OrderError.notPossible(in: .assigned)) { try order.cancel() }
    }

    @Test func `The first driver who asks has the order, and nobody else may handle it`() throws {
        var order = order()
        try order.confirmPayment()
        try order.assign(to: driver)
        // Who asks again, because the answer was lost, is told the same.
        try order.assign(to: driver)
        #expect(throws: OrderError.takenByAnotherDriver) { try order.assign(to: Account.ID()) }
        #expect(throws: OrderError.notYours) { try order.pickUp(by: Account.ID()) }
    }

    @Test func `Distances on Earth`() {
        let lisbon = Place(latitude: 38.7223, longitude: -9.1393)
        let porto = Place(latitude: 41.1579, longitude: -8.6291)
        #expect((273_000...275_000).contains(lisbon.distance(to: porto)))
        #expect(lisbon.distance(to: lisbon) == 0)
    }
}

@Suite struct FixFilterTests {
    private let now = Date(timeIntervalSince1970: 1_800_000_000)

    private func fix(_ latitude: Double = 38.7, _ longitude: Double = -9.1, at seconds: Double = 0) -> GPSFix {
        GPSFix(latitude: latitude, longitude: longitude, at: now.addingTimeInterval(seconds))
    }

    private func refusal(_ filter: inout FixFilter, _ fix: GPSFix, now: Date? = nil) -> FixRefusal? {
        do throws(FixRefusal) {
            try filter.check(fix, now: now ?? self.now)
            return nil
        } catch { return error }
    }

    @Test(arguments: [
        (91.0, 0.5), (-90.1, 0.5), (0.5, 180.1), (0.5, -181), (.nan, 0.5), (0.5, .infinity), (0, 0),
    ]) func `What is not on Earth, or is the zero point, is invalid`(latitude: Double, longitude: Double) {
        var filter = FixFilter()
        #expect(refusal(&filter, fix(latitude, longitude)) == .invalid)
    }

    @Test(arguments: [(10.0, nil), (10.1, FixRefusal.future), (-60, nil), (-60.1, .stale)])
    func `A fix must be of now`(seconds: Double, expected: FixRefusal?) {
        var filter = FixFilter()
        #expect(refusal(&filter, fix(at: seconds)) == expected)
    }

    @Test func `A fix that is not newer than the one before it is stale`() {
        var filter = FixFilter()
        #expect(refusal(&filter, fix(at: -5)) == nil)
        #expect(refusal(&filter, fix(at: -5)) == .stale)
        #expect(refusal(&filter, fix(at: -6)) == .stale)
        #expect(refusal(&filter, fix(at: -4)) == nil)
    }

    @Test func `A jump is dropped, and does not spoil what follows`() {
        var filter = FixFilter()
        #expect(refusal(&filter, fix(at: -5)) == nil)
        #expect(refusal(&filter, fix(38.8, at: -4)) == .jump)
        #expect(refusal(&filter, fix(38.7005, at: -3)) == nil)
    }

    @Test func `A wrong first fix does not bar the way for ever`() {
        var filter = FixFilter()
        #expect(refusal(&filter, fix(0.5, 0.5)) == nil)
        #expect(refusal(&filter, fix(at: 5), now: now.addingTimeInterval(5)) == .jump)
        #expect(refusal(&filter, fix(at: 61), now: now.addingTimeInterval(61)) == nil)
    }
}
