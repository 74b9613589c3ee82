import Apus
import Geography

/// Simulates a customer, the payment provider and drivers, through the same services that real ones use.
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
                group.addTask { await runRepeatedly("customer") { try await runCustomer() } }
                for number in 1...drivers {
                    group.addTask { await runRepeatedly("driver \(number)") { try await runDriver(number) } }
                }
            }
        }
    }

    /// Runs a part of the simulation until the task is cancelled, restarting it after a failure.
    private func runRepeatedly(_ part: String, _ body: () async throws -> Void) async {
        while !Task.isCancelled {
            do {
                try await body()
            } catch {
                guard !Task.isCancelled else { return }
                logger.warning(
                    "A part of the simulation failed and is restarted.",
                    metadata: ["part": "\(part)", "error": "\(error)"])
            }
            try? await clock.sleep(for: tick)
        }
    }

    // MARK: Customer

    private func runCustomer() async throws {
        let account = try await accounts.findOrRegister(
            email: "customer@simulator.example", name: "Ada", role: .customer)
        let customer = Customer(id: account.id)
        while true {
            if try await orders.waiting().count < drivers {
                let request = PlaceOrder(
                    item: City.randomItem(), pickup: City.randomCorner(), dropoff: City.randomCorner())
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

    private func runDriver(_ number: Int) async throws {
        let account = try await accounts.findOrRegister(
            email: "driver-\(number)@simulator.example", name: "Driver \(number)", role: .driver)
        let driver = Driver(id: account.id)
        var place = tracking.position(of: driver.id)?.place ?? City.randomCorner()
        while true {
            // Resumes an order that was in progress before a restart.
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

    /// Drives along the streets: first east or west, then north or south.
    private func drive(_ driver: Driver, from place: inout Place, to destination: Place) async throws {
        let corner = Place(wrapping: place.latitude, destination.longitude)
        for target in [corner, destination] {
            let start = place
            let metres = start.distance(to: target)
            let steps = max(1, Int(metres / (City.speed * tick.seconds)))
            for step in 1...steps {
                place = start.interpolated(to: target, fraction: Double(step) / Double(steps))
                try await report(place, driver)
                try await clock.sleep(for: tick)
            }
        }
    }

    private func report(_ place: Place, _ driver: Driver) async throws {
        do {
            try await tracking.receive(
                FixReport(latitude: place.latitude, longitude: place.longitude, at: clock.now), from: driver)
        } catch is FixRejection {
            // Already counted; the driver continues, as a real device would.
        }
    }
}
