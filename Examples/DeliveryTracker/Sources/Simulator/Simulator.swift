import Apus

/// Plays customers, the payment provider and drivers. It goes through the same services as real ones do.
struct Simulator: Service {
    let drivers: Int
    let tick: Duration
    let accounts: AccountService
    let orders: OrderService
    let payments: PaymentService
    let signature: PaymentSignature
    let tracking: TrackingService
    let clock: any WallClock
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await play("customer") { try await customers() } }
                for number in 1...drivers {
                    group.addTask { await play("driver \(number)") { try await driver(number) } }
                }
            }
        }
    }

    /// Plays a part, from the beginning again after a failure, until it is cancelled.
    private func play(_ part: String, _ body: () async throws -> Void) async {
        while !Task.isCancelled {
            do {
                try await body()
            } catch {
                guard !Task.isCancelled else { return }
                logger.warning("A simulated part stumbled.", metadata: ["part": "\(part)", "error": "\(error)"])
            }
            try? await clock.sleep(for: tick)
        }
    }

    // MARK: Customers

    private func customers() async throws {
        let account = try await accounts.ensure(email: "customer@simulator.example", name: "Ada", role: .customer)
        let customer = Customer(id: account.id)
        while true {
            if try await orders.waiting().count < drivers {
                let request = PlaceOrder(item: City.item(), pickup: City.corner(), dropoff: City.corner())
                let (_, payment) = try await orders.place(request, for: customer)
                try await clock.sleep(for: tick * 2)
                try await pay(payment)
            }
            try await clock.sleep(for: tick * 3)
        }
    }

    private func pay(_ payment: Payment) async throws {
        let event = PaymentEvent(
            id: "evt_\(payment.id)", type: "payment.succeeded",
            data: .init(payment: payment.id, amount: payment.price.amount, currency: payment.price.currency))
        let body = try JSONCoding.encode(event)
        _ = try await payments.receive(body: body, signature: signature.sign(body.readableBytesView))
    }

    // MARK: Drivers

    private func driver(_ number: Int) async throws {
        let account = try await accounts.ensure(
            email: "driver-\(number)@simulator.example", name: "Driver \(number)", role: .driver)
        let driver = Driver(id: account.id)
        var place = tracking.position(of: driver.id)?.place ?? City.corner()
        while true {
            // An order of before a restart is gone on with.
            var order = try await orders.current(of: driver)
            if order == nil { order = try await nextOrder(for: driver) }
            guard let order else {
                try await report(place, driver)
                try await clock.sleep(for: tick)
                continue
            }
            if order.state == .assigned {
                try await drive(driver, from: &place, to: order.pickup)
                _ = try await orders.pickUp(order.id, by: driver)
            }
            try await drive(driver, from: &place, to: order.dropoff)
            _ = try await orders.deliver(order.id, by: driver)
        }
    }

    private func nextOrder(for driver: Driver) async throws -> Order? {
        for order in try await orders.waiting() {
            do {
                return try await orders.assign(order.id, to: driver)
            } catch let error as AppError where error.details.reason == "ORDER_TAKEN" {
                continue
            }
        }
        return nil
    }

    /// Along the streets: first one way, then the other.
    private func drive(_ driver: Driver, from place: inout Place, to destination: Place) async throws {
        let corner = Place(latitude: place.latitude, longitude: destination.longitude)
        for target in [corner, destination] {
            let start = place
            let metres = start.distance(to: target)
            let steps = max(1, Int(metres / (City.speed * tick.seconds)))
            for step in 1...steps {
                place = City.between(start, target, share: Double(step) / Double(steps))
                try await report(place, driver)
                try await clock.sleep(for: tick)
            }
        }
    }

    private func report(_ place: Place, _ driver: Driver) async throws {
        do {
            try await tracking.receive(
                GPSFix(latitude: place.latitude, longitude: place.longitude, at: clock.now), from: driver)
        } catch is FixRefusal {
            // Counted already. A device does not mind either.
        }
    }
}
