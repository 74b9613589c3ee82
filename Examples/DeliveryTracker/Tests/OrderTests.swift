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

    private func rejection(_ filter: inout FixFilter, _ fix: GPSFix, now: Date? = nil) -> FixRejection? {
        do throws(FixRejection) {
            try filter.check(fix, now: now ?? self.now)
            return nil
        } catch { return error }
    }

    @Test(arguments: [
        (91.0, 0.5), (-90.1, 0.5), (0.5, 180.1), (0.5, -181), (.nan, 0.5), (0.5, .infinity), (0, 0),
    ]) func `Coordinates out of range and the zero point are invalid`(latitude: Double, longitude: Double) {
        var filter = FixFilter()
        #expect(rejection(&filter, fix(latitude, longitude)) == .invalid)
    }

    @Test(arguments: [(10.0, nil), (10.1, FixRejection.future), (-60, nil), (-60.1, .stale)])
    func `A fix may be up to 10 s ahead and 60 s old`(seconds: Double, expected: FixRejection?) {
        var filter = FixFilter()
        #expect(rejection(&filter, fix(at: seconds)) == expected)
    }

    @Test func `A fix that is not newer than the previous one is stale`() {
        var filter = FixFilter()
        #expect(rejection(&filter, fix(at: -5)) == nil)
        #expect(rejection(&filter, fix(at: -5)) == .stale)
        #expect(rejection(&filter, fix(at: -6)) == .stale)
        #expect(rejection(&filter, fix(at: -4)) == nil)
    }

    @Test func `A jump is dropped and does not affect later fixes`() {
        var filter = FixFilter()
        #expect(rejection(&filter, fix(at: -5)) == nil)
        #expect(rejection(&filter, fix(38.8, at: -4)) == .jump)
        #expect(rejection(&filter, fix(38.7005, at: -3)) == nil)
    }

    @Test func `A wrong first fix affects later fixes for only a minute`() {
        var filter = FixFilter()
        #expect(rejection(&filter, fix(0.5, 0.5)) == nil)
        #expect(rejection(&filter, fix(at: 5), now: now.addingTimeInterval(5)) == .jump)
        #expect(rejection(&filter, fix(at: 61), now: now.addingTimeInterval(61)) == nil)
    }
}
