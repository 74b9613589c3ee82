/// All or nothing: what repositories and job queues do inside is committed together.
///
/// ```swift
/// try await unitOfWork.perform {
///     let order = try await orders.update(id) { try $0.pay() }
///     try await jobs.enqueue(SendReceipt(order: order.id))
/// }
/// ```
public struct UnitOfWork: Sendable {
    private let database: any Database

    public init(_ database: any Database) { self.database = database }

    /// - Throws: What the body throws, after everything in it was undone; or why it could not be committed.
    @discardableResult
    public func perform<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        try await database.transaction(body)
    }

    /// Runs something once the present transaction is committed, and never if it is not; at once outside of one.
    ///
    /// For what cannot be undone, such as telling clients. Actions run one after the other, in the order of the commits, before
    /// ``perform(_:)`` returns.
    public static func afterCommit(_ action: @escaping @Sendable () -> Void) {
        if let current = AmbientTransaction.current, current.addAfterCommit(action) { return }
        action()
    }
}
