import Apus

protocol OrderRepository: Repository where Entity == Order {
    /// The orders of a customer, the latest first.
    /// - Parameter last: Where to go on, exclusively; `nil` for the latest of all.
    func orders(of customer: Account.ID, after last: Order.ID?, limit: Int) async throws -> [Order]
    /// The order that a driver is on, if any.
    func current(of driver: Account.ID) async throws -> Order?
    /// Paid orders that no driver has taken, the oldest first.
    func waiting(limit: Int) async throws -> [Order]
    /// All orders to which something can still happen, the latest first.
    func open(limit: Int) async throws -> [Order]
}
