import Apus
import ApusTesting
import Geography
import Synchronization
import Testing

@testable import DeliveryTracker

/// Records pushes instead of sending them.
private final class RecordingPushGateway: PushGateway {
    private let sent = Mutex<[Push]>([])
    var pushes: [Push] { sent.withLock { $0 } }
    func send(_ push: Push) { sent.withLock { $0.append(push) } }
}

@Suite(.timeLimit(.minutes(10))) struct DeliveryTests {
    private func test(
        _ transport: TestApp.Transport = .memory, on database: TestDatabase,
        _ body: @Sendable (TestApp, Scenario, RecordingPushGateway) async throws -> Void
    ) async throws {
        let gateway = RecordingPushGateway()
        try await DeliveryTracker.app.override((any PushGateway).self) { _ in gateway }
            .test(transport, on: database, settings: ["auth.password-cost": "4"]) { app in
                try await body(app, Scenario(app.client), gateway)
            }
    }

    @Test(arguments: TestApp.Transport.allCases, TestDatabase.available)
    func `An order is placed, paid, assigned, picked up and delivered`(
        transport: TestApp.Transport, database: TestDatabase
    ) async throws {
        try await test(transport, on: database) { app, scenario, gateway in
            let (customer, driver) = (try await scenario.register("customer"), try await scenario.register("driver"))
            let order = try await scenario.placeAndPay(customer)
            #expect(try await driver.call(OrderEndpoints.waiting).map(\.id) == [order.id])
            #expect(try await driver.call(OrderEndpoints.assign, order.id).state == .assigned)
            #expect(try await driver.call(OrderEndpoints.pickUp, order.id).state == .pickedUp)
            #expect(try await driver.call(OrderEndpoints.deliver, order.id).state == .delivered)
            #expect(try await customer.call(OrderEndpoints.show, order.id).state == .delivered)
            try await app.runJobs()
            #expect(
                gateway.pushes.map(\.body) == [
                    "We received your payment and are looking for a driver.", "A driver has accepted your order.",
                    "Your order is on its way.", "Your order has arrived.",
                ])
            #expect(Set(gateway.pushes.map(\.id)).count == 4)
        }
    }

    @Test(arguments: TestDatabase.available) func `Repeating a request with its idempotency key returns the same order`(
        database: TestDatabase
    ) async throws {
        try await test(on: database) { _, scenario, _ in
            let customer = try await scenario.register("customer")
            let first = try await scenario.place(customer, key: "\"k-1\"")
            let second = try await scenario.place(customer, key: "\"k-1\"")
            #expect(first.order.id == second.order.id)
            let other = try await scenario.register("customer")
            #expect(try await scenario.place(other, key: "\"k-1\"").order.id != first.order.id)
            let list = try await customer.call(OrderEndpoints.list, PageRequest())
            #expect(list.items.count == 1)
            let coffee = PlaceOrder(
                item: "Coffee", pickup: Scenario.tea.pickup.place, dropoff: Scenario.tea.dropoff.place)
            let changed = await #expect(throws: UnexpectedResponse.self) {
                try await customer.call(
                    OrderEndpoints.place, coffee, headers: [Scenario.idempotencyKey: "\"k-1\""])
            }
            #expect(changed?.status.code == 422)
        }
    }

    @Test(arguments: TestApp.Transport.allCases, TestDatabase.available)
    func `One of several drivers racing for an order gets it, and the others receive 409`(
        transport: TestApp.Transport, database: TestDatabase
    ) async throws {
        try await test(transport, on: database) { _, scenario, _ in
            let order = try await scenario.placeAndPay(try await scenario.register("customer"))
            var drivers: [TestClient] = []
            for _ in 0..<5 { drivers.append(try await scenario.register("driver")) }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for driver in drivers {
                    group.addTask { try await driver.post("/v1/orders/\(order.id)/assignment").status.code }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }.sorted()
            }
            #expect(statuses == [200, 409, 409, 409, 409])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Forged, expired, modified and replayed payments are rejected, and a redelivery changes nothing`(
        database: TestDatabase
    )
        async throws
    {
        let clock = ManualClock()
        let app = DeliveryTracker.app.override((any WallClock).self) { _ in clock }
        try await app.test(on: database, settings: ["auth.password-cost": "4"]) { app in
            let scenario = Scenario(app.client, clock: clock)
            let customer = try await scenario.register("customer")
            let placed = try await scenario.place(customer)
            let body = try scenario.event(placed)
            let signature = scenario.signature.sign(body.readableBytesView)

            let forger = PaymentSignature(secret: Secret("whsec_secret_of_a_third_party"), clock: clock)
            let forged = try await scenario.deliver(webhook: body, signature: forger.sign(body.readableBytesView))
            #expect(forged.status == .badRequest)
            #expect(try forged.problem().reason == "BAD_SIGNATURE")
            let missing = try await app.client.send(.post, "/v1/payments/webhook", body: body)
            #expect(missing.status == .badRequest)
            let modified = try await scenario.deliver(
                webhook: scenario.event(placed, id: "evt_2"), signature: signature)
            #expect(modified.status == .badRequest)
            #expect(
                try await customer.call(OrderEndpoints.show, placed.order.id).state == .awaitingPayment)

            #expect(try await scenario.deliver(webhook: body, signature: signature).status == .ok)
            let replayed = try await scenario.deliver(webhook: body, signature: signature)
            #expect(replayed.status == .conflict)
            #expect(try replayed.problem().reason == "REPLAYED")
            clock.advance(by: .seconds(5))
            let redelivered = try await scenario.deliver(webhook: body)
            #expect(redelivered.text == #"{"event":"evt_\#(placed.payment.id)","new":false}"#)
            let second = try await scenario.deliver(webhook: scenario.event(placed, id: "evt_3"))
            #expect(second.status == .conflict)
            clock.advance(by: .seconds(400))
            #expect(try await scenario.deliver(webhook: body, signature: signature).status == .badRequest)
            #expect(try await customer.call(OrderEndpoints.show, placed.order.id).state == .paid)
        }
    }

    @Test(arguments: TestDatabase.available) func `A payment with the wrong amount is rejected and not recorded`(
        database: TestDatabase
    ) async throws {
        try await test(on: database) { _, scenario, _ in
            let placed = try await scenario.place(try await scenario.register("customer"))
            let wrong = try JSONCoding.encode(
                PaymentEvent(
                    id: "evt_x", type: "payment.succeeded",
                    data: .init(payment: placed.payment.id, amount: 1, currency: "EUR")))
            let rejected = try await scenario.deliver(webhook: wrong)
            #expect(rejected.status == .conflict)
            #expect(try rejected.problem().reason == "WRONG_AMOUNT")
            // The same event with the right amount is not treated as a redelivery.
            let right = try await scenario.deliver(webhook: scenario.event(placed, id: "evt_x"))
            #expect(right.status == .ok)
        }
    }

    @Test(arguments: TestApp.Transport.allCases, TestDatabase.available)
    func `A connected customer receives a snapshot, every fix and every change, but no push`(
        transport: TestApp.Transport, database: TestDatabase
    ) async throws {
        try await test(transport, on: database) { app, scenario, gateway in
            let (customer, driver) = (try await scenario.register("customer"), try await scenario.register("driver"))
            let order = try await scenario.placeAndPay(customer)
            try await app.runJobs()
            let before = gateway.pushes.count
            try await customer.webSocket("/v1/orders/\(order.id)/live") { socket in
                let snapshot = try #require(try await socket.receiveJSON(Scenario.Message.self))
                #expect(snapshot.type == "snapshot")
                #expect(snapshot.orders?.map(\.state) == [.paid])
                #expect(snapshot.positions?.isEmpty == true)
                _ = try await driver.post("/v1/orders/\(order.id)/assignment")
                #expect(try await socket.receiveChange()?.order?.state == .assigned)
                try await driver.webSocket("/v1/drivers/position") { device in
                    let start = Date()
                    for step in 0..<3 {
                        // One second apart: two fixes in the same millisecond would have the same time.
                        let place = Place(wrapping: 38.7369 + Double(step) * 0.0001, -9.1427)
                        try await device.send(
                            json: FixReport(
                                latitude: place.latitude, longitude: place.longitude, at: start + Double(step)))
                        let message = try await socket.receiveChange()
                        #expect(message?.position?.place == place)
                    }
                }
                // The snapshot of a later connection contains the driver's position.
                try await customer.webSocket("/v1/orders/\(order.id)/live") { second in
                    let message = try await second.receiveJSON(Scenario.Message.self)
                    #expect(message?.positions?.first?.place.latitude == 38.7369 + 2 * 0.0001)
                }
            }
            try await app.runJobs()
            #expect(gateway.pushes.count == before)
        }
    }

    @Test(arguments: TestDatabase.available)
    func `The customer of a delivered order no longer sees the driver's position`(
        database: TestDatabase
    ) async throws {
        try await test(on: database) { _, scenario, _ in
            let (customer, driver) = (try await scenario.register("customer"), try await scenario.register("driver"))
            let order = try await scenario.placeAndPay(customer)
            for step in [OrderEndpoints.assign, OrderEndpoints.pickUp, OrderEndpoints.deliver] {
                _ = try await driver.call(step, order.id)
            }
            try await driver.webSocket("/v1/drivers/position") { device in
                try await device.send(json: FixReport(latitude: 38.7, longitude: -9.1, at: Date()))
                try await device.send("nonsense")
                _ = try await device.receive()
            }
            try await customer.webSocket("/v1/orders/\(order.id)/live") { socket in
                let snapshot = try await socket.receiveJSON(Scenario.Message.self)
                #expect(snapshot?.orders?.map(\.state) == [.delivered])
                #expect(snapshot?.positions?.isEmpty == true)
            }
        }
    }

    @Test(arguments: TestDatabase.available) func `A driver who accepts several orders at once gets one`(
        database: TestDatabase
    ) async throws {
        try await test(on: database) { _, scenario, _ in
            let (customer, driver) = (try await scenario.register("customer"), try await scenario.register("driver"))
            var orders: [OrderView] = []
            for _ in 0..<5 { orders.append(try await scenario.placeAndPay(customer)) }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for order in orders {
                    group.addTask { try await driver.post("/v1/orders/\(order.id)/assignment").status.code }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }.sorted()
            }
            #expect(statuses == [200, 409, 409, 409, 409])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `Of deliveries of one event at the same time, one changes the order`(database: TestDatabase) async throws {
        try await test(on: database) { _, scenario, _ in
            let placed = try await scenario.place(try await scenario.register("customer"))
            let body = try scenario.event(placed)
            let signature = scenario.signature.sign(body.readableBytesView)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<5 {
                    group.addTask { try await scenario.deliver(webhook: body, signature: signature).status.code }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }.sorted()
            }
            #expect(statuses == [200, 409, 409, 409, 409])
        }
    }

    @Test(arguments: TestDatabase.available)
    func `An order that is cancelled while its payment arrives is due for refund`(
        database: TestDatabase
    ) async throws {
        try await test(on: database) { app, scenario, _ in
            let customer = try await scenario.register("customer")
            let payments: any PaymentRepository = try app.resolve()
            for _ in 0..<5 {
                let placed = try await scenario.place(customer)
                async let cancelled = customer.call(OrderEndpoints.cancel, placed.order.id).state
                async let paid = scenario.deliver(webhook: scenario.event(placed)).status
                #expect(try await cancelled == .cancelled)
                #expect(try await paid == .ok)
                #expect(try await payments.get(placed.payment.id).state == .refundDue)
            }
        }
    }

    @Test(arguments: TestDatabase.available) func `A payment for a cancelled order becomes due for refund`(
        database: TestDatabase
    ) async throws {
        try await test(on: database) { app, scenario, _ in
            let customer = try await scenario.register("customer")
            let payments: any PaymentRepository = try app.resolve()
            let late = try await scenario.place(customer)
            _ = try await customer.call(OrderEndpoints.cancel, late.order.id)
            #expect(try await scenario.deliver(webhook: scenario.event(late)).status == .ok)
            #expect(try await payments.get(late.payment.id).state == .refundDue)
            let early = try await scenario.placeAndPay(customer)
            #expect(try await customer.call(OrderEndpoints.cancel, early.id).state == .cancelled)
            #expect(try await payments.payment(of: early.id)?.state == .refundDue)
        }
    }

    @Test(arguments: TestDatabase.available) func `An event of another type is acknowledged, whatever its payload`(
        database: TestDatabase
    ) async throws {
        try await test(on: database) { _, scenario, _ in
            let event = ByteBuffer(string: #"{"id":"evt_9","type":"customer.created","data":["anything"]}"#)
            let response = try await scenario.deliver(webhook: event)
            #expect(response.status == .ok)
        }
    }

    @Test(arguments: TestDatabase.available) func `A connection is closed when its token expires`(
        database: TestDatabase
    ) async throws {
        try await DeliveryTracker.app.test(
            .socket, on: database, settings: ["auth.password-cost": "4", "auth.token-lifetime": "1s"]
        ) { app in
            let driver = try await Scenario(app.client).register("driver")
            try await driver.webSocket("/v1/drivers/position") { device in
                let message = try await device.receive()
                #expect(message == nil)
                #expect(device.receivedCloseCode == 1008)
            }
        }
    }

    @Test func `Default secrets are rejected if the service is reachable from other hosts`() async throws {
        let error = await #expect(throws: StartupError.self) {
            try await DeliveryTracker.app.test(settings: ["http.host": "0.0.0.0"]) { _ in }
        }
        #expect(error?.problems.count == 1)
        #expect(error?.description.contains("auth.secret, payments.webhook-secret") == true)
    }

    @Test(arguments: TestApp.Transport.allCases, TestDatabase.available)
    func `Live connections are open only to the accounts they belong to`(
        transport: TestApp.Transport, database: TestDatabase
    )
        async throws
    {
        try await test(transport, on: database) { app, scenario, _ in
            let order = try await scenario.placeAndPay(try await scenario.register("customer"))
            let (other, driver) = (try await scenario.register("customer"), try await scenario.register("driver"))
            func refusedStatus(_ client: TestClient, _ path: String) async throws -> Int? {
                do {
                    try await client.webSocket(path) { _ in }
                    return nil
                } catch let refusal as TestWebSocket.Refusal { return refusal.response.status.code }
            }
            #expect(try await refusedStatus(other, "/v1/orders/\(order.id)/live") == 404)
            #expect(try await refusedStatus(driver, "/v1/orders/\(order.id)/live") == 403)
            #expect(try await refusedStatus(app.client, "/v1/orders/\(order.id)/live") == 401)
            #expect(try await refusedStatus(other, "/v1/orders/nonsense/live") == 400)
            #expect(try await refusedStatus(other, "/v1/fleet/live") == 403)
            #expect(try await refusedStatus(other, "/v1/drivers/position") == 403)
            #expect(try await other.get("/v1/orders/\(order.id)").status == .notFound)
        }
    }

    @Test(arguments: TestDatabase.available) func `Implausible fixes are dropped, counted and reported to the device`(
        database: TestDatabase
    ) async throws {
        try await test(on: database) { app, scenario, _ in
            let driver = try await scenario.register("driver")
            try await driver.webSocket("/v1/drivers/position") { device in
                func reason(_ fix: FixReport) async throws -> FixRejection? {
                    try await device.send(json: fix)
                    return try await device.receiveJSON(Scenario.Message.self)?.reason
                }
                try await device.send(
                    json: FixReport(latitude: 38.7, longitude: -9.1, at: Date(timeIntervalSinceNow: -1)))
                #expect(try await reason(FixReport(latitude: 95, longitude: -9.1, at: Date())) == .invalid)
                #expect(
                    try await reason(FixReport(latitude: 38.7, longitude: -9.1, at: Date(timeIntervalSinceNow: -90)))
                        == .stale)
                #expect(
                    try await reason(FixReport(latitude: 38.7, longitude: -9.1, at: Date(timeIntervalSinceNow: 90)))
                        == .future)
                #expect(try await reason(FixReport(latitude: 39.7, longitude: -9.1, at: Date() + 1)) == .speed)
                try await device.send("not JSON")
                #expect(try await device.receiveJSON(Scenario.Message.self)?.reason == .malformed)
            }
            let tracking: TrackingService = try app.resolve()
            #expect(tracking.statistics.accepted == 1)
            #expect(
                tracking.statistics.dropped.filter { $0.value > 0 } == [
                    "invalid": 1, "stale": 1, "future": 1, "speed": 1, "malformed": 1,
                ])
            #expect(tracking.statistics.dropped.count == FixRejection.allCases.count)
        }
    }

    @Test(arguments: TestDatabase.available) func `Fixes above the rate limit are dropped`(
        database: TestDatabase
    ) async throws {
        let clock = ManualClock()
        try await DeliveryTracker.app.override((any WallClock).self) { _ in clock }.test(on: database) { app in
            let tracking: TrackingService = try app.resolve()
            let driver = Driver(id: Account.ID())
            var rejections: [FixRejection] = []
            for number in 0..<30 {
                do {
                    let at = clock.now + Double(number) / 100
                    try await tracking.receive(FixReport(latitude: 38.7, longitude: -9.1, at: at), from: driver)
                } catch let rejection as FixRejection { rejections.append(rejection) }
            }
            #expect(rejections.contains(.rate))
            #expect(rejections.allSatisfy { $0 == .rate })
        }
    }

    @Test(arguments: TestDatabase.available) func `Invalid requests are answered with problem documents`(
        database: TestDatabase
    ) async throws {
        try await test(.socket, on: database) { _, scenario, _ in
            let customer = try await scenario.register("customer")
            let json: HTTPFields = [.contentType: "application/json"]
            func problem(_ response: ClientResponse, _ status: Int) throws -> ProblemDetails {
                #expect(response.status.code == status, "\(response.text)")
                #expect(response.headers[.contentType] == "application/problem+json")
                return try response.problem()
            }
            func order(_ body: String) async throws -> ClientResponse {
                try await customer.send(.post, "/v1/orders", headers: json, body: ByteBuffer(string: body))
            }
            _ = try problem(try await order("{"), 400)
            let missing = try problem(try await order(#"{"item":"Tea","pickup":{"latitude":1,"longitude":2}}"#), 422)
            #expect(missing.errors?.map(\.pointer) == ["/dropoff"])
            let types = try problem(try await order(#"{"item":5}"#), 422)
            #expect(types.errors == [ValidationFailure(pointer: "/item", code: "type", message: "must be a string")])
            let places = try problem(
                try await order(
                    #"{"item":"","pickup":{"latitude":91,"longitude":2},"dropoff":{"latitude":1,"longitude":-181}}"#),
                422)
            #expect(places.errors?.map(\.pointer) == ["/item", "/pickup/latitude", "/dropoff/longitude"])
            _ = try problem(try await customer.post("/v1/orders", json: String(repeating: "x", count: 1 << 20)), 413)
            _ = try problem(try await customer.get("/v1/nothing"), 404)
            _ = try problem(try await customer.send(.put, "/v1/orders"), 405)
            _ = try problem(try await scenario.client.get("/v1/orders"), 401)
            _ = try problem(try await scenario.client.bearer("forged.token.here").get("/v1/orders"), 401)
            let wrong = ["email": "nobody@example.org", "password": "whatever it is"]
            _ = try problem(try await scenario.client.post("/v1/sessions", json: wrong), 401)
            let dispatcher = ["email": "a@b.cd", "name": "x", "password": "a long password", "role": "dispatcher"]
            _ = try problem(try await scenario.client.post("/v1/accounts", json: dispatcher), 422)
        }
    }

    @Test(arguments: TestDatabase.available) func `An expired token is rejected with the reason TOKEN_EXPIRED`(
        database: TestDatabase
    ) async throws {
        let clock = ManualClock()
        let app = DeliveryTracker.app.override((any WallClock).self) { _ in clock }
        try await app.test(on: database, settings: ["auth.password-cost": "4", "auth.token-lifetime": "1m"]) { app in
            let customer = try await Scenario(app.client, clock: clock).register("customer")
            #expect(try await customer.get("/v1/orders").status == .ok)
            clock.advance(by: .seconds(91))
            let expired = try await customer.get("/v1/orders")
            #expect(expired.status == .unauthorized)
            #expect(try expired.problem().reason == "TOKEN_EXPIRED")
        }
    }

    @Test func `The map page loads nothing from other origins`() async throws {
        try await test(on: .memory) { app, _, _ in
            let page = try await app.client.get("/")
            #expect(page.headers[.contentType] == "text/html; charset=utf-8")
            #expect(page.text.contains("<canvas"))
            #expect(!page.text.contains("https://"))
        }
    }

    @Test func `Secrets are required outside of development`() async throws {
        let error = await #expect(throws: StartupError.self) {
            try await DeliveryTracker.app.test(settings: ["environment": "production"]) { _ in }
        }
        #expect(error?.problems.count == 2)
    }

    @Test(arguments: TestDatabase.available) func `Simulated drivers deliver orders`(
        database: TestDatabase
    ) async throws {
        let settings = ["auth.password-cost": "4", "simulator.enabled": "true", "simulator.drivers": "2"]
        let clock = ManualClock()
        try await DeliveryTracker.app.override((any WallClock).self) { _ in clock }.test(
            on: database, settings: settings
        ) { app in
            let session = try await app.client.post("/v1/simulator/session").json(Scenario.Token.self)
            try await app.client.bearer(session.token).webSocket("/v1/fleet/live") { socket in
                let first = try await socket.receiveJSON(Scenario.Message.self)
                #expect(first?.type == "snapshot")
                try await app.runServices(advancing: clock) {
                    let expected: Set<Order.State> = [.awaitingPayment, .paid, .assigned, .pickedUp, .delivered]
                    var states: Set<Order.State> = []
                    // A client that does not keep up with an order receives only its latest state.
                    while !states.isSuperset(of: expected),
                        let message = try await socket.receiveJSON(Scenario.Message.self)
                    {
                        if let state = message.order?.state { states.insert(state) }
                    }
                    #expect(states.isSuperset(of: expected))
                }
            }
        }
    }
}
