import Apus

/// What can be done with orders, and who hears of it.
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

    /// Takes an order and asks for its payment.
    func place(_ request: PlaceOrder, for customer: Customer) async throws -> (order: Order, payment: Payment) {
        let order = Order(
            id: Order.ID(), customer: customer.id, item: request.item, pickup: request.pickup, dropoff: request.dropoff,
            price: Tariff.price(from: request.pickup, to: request.dropoff), placedAt: clock.now)
        let payment = Payment(id: Payment.ID(), order: order.id, price: order.price)
        try await unitOfWork.perform {
            try await orders.insert(order)
            try await payments.insert(payment)
            feed.announce(order)
        }
        return (order, payment)
    }

    /// An order of a customer's own. Another's is not found: who does not own it may not know that it exists.
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
            let order = try await change(id) { try $0.cancel() }
            if let payment = try await payments.payment(of: id) {
                try await payments.update(payment.id) { $0.orderCancelled() }
            }
            return order
        }
    }

    /// The money for an order is there.
    /// - Returns: Whether the order goes on; not if it was cancelled meanwhile.
    func paymentCame(for id: Order.ID) async throws -> Bool {
        guard try await orders.get(id).state != .cancelled else { return false }
        _ = try await change(id) { try $0.confirmPayment() }
        return true
    }

    func assign(_ id: Order.ID, to driver: Driver) async throws -> Order {
        try await unitOfWork.perform {
            if let current = try await orders.current(of: driver.id), current.id != id {
                throw AppError(.failedPrecondition, "You are on another order: \(current.id).", reason: "DRIVER_BUSY")
            }
            return try await change(id) { try $0.assign(to: driver.id) }
        }
    }

    func pickUp(_ id: Order.ID, by driver: Driver) async throws -> Order {
        try await change(id) { try $0.pickUp(by: driver.id) }
    }

    func deliver(_ id: Order.ID, by driver: Driver) async throws -> Order {
        try await change(id) { try $0.deliver(by: driver.id) }
    }

    /// Changes an order. Whoever watches it is told once that is committed; a customer who does not watch is sent a push,
    /// which is enqueued in the same transaction, so that neither is ever there without the other.
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
            if !feed.isWatched(order) { try await jobs.enqueue(SendPush(order)) }
            feed.announce(order)
            return order
        }
    }
}

/// What a delivery costs.
enum Tariff {
    /// 2.50 €, and 0.80 € a kilometre.
    static func price(from pickup: Place, to dropoff: Place) -> Money {
        Money(amount: 250 + Int(pickup.distance(to: dropoff) * 0.08), currency: "EUR")
    }
}

extension AppError {
    init(_ error: OrderError) {
        switch error {
        case .takenByAnotherDriver:
            self.init(.aborted, "Another driver has taken this order.", reason: "ORDER_TAKEN")
        case .notYours: self.init(.permissionDenied, "This order is not yours.")
        case .notPossible(let state):
            self.init(
                .failedPrecondition, "That is not possible while the order is \(state.rawValue).", reason: "ORDER_STATE"
            )
        }
    }
}
