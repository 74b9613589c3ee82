import Apus
import Geography

/// Places orders, changes their state, and publishes every change.
struct OrderService: Sendable {
    private let orders: any OrderRepository
    private let payments: any PaymentRepository
    private let jobs: JobQueue
    private let feed: LiveFeed
    private let unitOfWork: UnitOfWork
    private let clock: any WallClock

    init(
        orders: any OrderRepository, payments: any PaymentRepository, jobs: JobQueue, feed: LiveFeed,
        unitOfWork: UnitOfWork, clock: any WallClock
    ) {
        self.orders = orders
        self.payments = payments
        self.jobs = jobs
        self.feed = feed
        self.unitOfWork = unitOfWork
        self.clock = clock
    }

    /// Places an order with a pending payment.
    func place(_ request: PlaceOrder, for customer: Customer) async throws -> (order: Order, payment: Payment) {
        let (pickup, dropoff) = (request.pickup.place, request.dropoff.place)
        let order = Order(
            id: Order.ID(), customer: customer.id, item: request.item, pickup: pickup, dropoff: dropoff,
            price: Tariff.price(from: pickup, to: dropoff), placedAt: clock.now)
        let payment = Payment(id: Payment.ID(), order: order.id, price: order.price)
        try await unitOfWork.perform {
            try await orders.insert(order)
            try await payments.insert(payment)
            feed.publish(order)
        }
        return (order, payment)
    }

    /// Returns an order of a customer. An order of another customer is reported as not found, so as not to reveal that
    /// it exists.
    func get(_ id: Order.ID, for customer: Customer) async throws -> Order {
        let order = try await orders.get(id)
        guard order.customer == customer.id else { throw SQLOrderRepository.notFound(id) }
        return order
    }

    func list(of customer: Customer, after: Order.ID?, limit: Int) async throws -> [Order] {
        try await orders.orders(of: customer.id, after: after, limit: limit)
    }

    func waiting() async throws -> [Order] { try await orders.waiting(limit: 50) }

    func current(of driver: Driver) async throws -> Order? { try await orders.current(of: driver.id) }

    func open() async throws -> [Order] { try await orders.open(limit: 500) }

    func cancel(_ id: Order.ID, by customer: Customer) async throws -> Order {
        _ = try await get(id, for: customer)
        return try await unitOfWork.perform {
            // The payment first, as when it is received: both lock the payment and then the order, and cannot deadlock.
            if let payment = try await payments.payment(of: id) {
                try await payments.update(payment.id) { $0.orderCancelled() }
            }
            return try await change(id) { try $0.cancel() }
        }
    }

    /// Marks an order as paid, unless it was cancelled in the meantime.
    /// - Returns: Whether the order was marked as paid.
    func confirmPayment(for id: Order.ID) async throws -> Bool {
        guard try await orders.get(id).state != .cancelled else { return false }
        _ = try await change(id) { try $0.confirmPayment() }
        return true
    }

    func assign(_ id: Order.ID, to driver: Driver) async throws -> Order {
        do {
            return try await unitOfWork.perform {
                if let current = try await orders.current(of: driver.id), current.id != id {
                    throw Self.driverBusy("You already have an order in progress: \(current.id).")
                }
                return try await change(id) { try $0.assign(to: driver.id) }
            }
        } catch let error as AppError where error.code == .alreadyExists {
            // The database keeps a driver from accepting two orders at the same time.
            throw Self.driverBusy("You already have an order in progress.")
        }
    }

    private static func driverBusy(_ message: String) -> AppError {
        AppError(.failedPrecondition, message, reason: "DRIVER_BUSY")
    }

    func pickUp(_ id: Order.ID, by driver: Driver) async throws -> Order {
        try await change(id) { try $0.pickUp(by: driver.id) }
    }

    func deliver(_ id: Order.ID, by driver: Driver) async throws -> Order {
        try await change(id) { try $0.deliver(by: driver.id) }
    }

    /// Changes an order, and publishes the change once it is committed. If the customer is not connected, a push is
    /// enqueued in the same transaction, so that the change and the push are committed together or not at all.
    private func change(_ id: Order.ID, _ change: @escaping @Sendable (inout Order) throws -> Void) async throws
        -> Order
    {
        try await unitOfWork.perform {
            let order: Order
            do {
                order = try await orders.update(id, change)
            } catch let error as OrderError {
                throw AppError(error)
            }
            if try await !feed.isWatched(order) { try await jobs.enqueue(SendPush(order)) }
            feed.publish(order)
            return order
        }
    }
}

/// The pricing of deliveries.
enum Tariff {
    /// Returns 2.50 € plus 0.80 € per kilometre.
    static func price(from pickup: Place, to dropoff: Place) -> Money {
        Money(amount: 250 + Int(pickup.distance(to: dropoff) * 0.08), currency: "EUR")
    }
}

extension AppError {
    init(_ error: OrderError) {
        switch error {
        case .takenByAnotherDriver:
            self.init(.aborted, "Another driver has taken this order.", reason: "ORDER_TAKEN")
        case .notAssignedToDriver: self.init(.permissionDenied, "This order is not assigned to you.")
        case .invalidTransition(let state):
            self.init(
                .failedPrecondition, "This is not possible for an order in state \"\(state.rawValue)\".",
                reason: "ORDER_STATE")
        }
    }
}
