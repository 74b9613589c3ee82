import Apus

protocol OrderRepository: Repository where Entity == Order {
    /// Returns the orders of a customer, newest first.
    /// - Parameter last: The last order of the previous page; `nil` for the first page.
    func orders(of customer: Account.ID, after last: Order.ID?, limit: Int) async throws -> [Order]
    /// Returns the order that a driver is working on, if any.
    func current(of driver: Account.ID) async throws -> Order?
    /// Returns paid orders without a driver, oldest first.
    func waiting(limit: Int) async throws -> [Order]
    /// Returns orders that are not in a final state, newest first.
    func open(limit: Int) async throws -> [Order]
}
