import ApusCore

extension PostgresDatabase {
    /// Runs a closure while no other process migrates this database. Waits for its turn until the deadline of the task.
    ///
    /// The transactions of the closure wait for locks of tables for 2 seconds at most, and are then rolled back and
    /// tried again, up to 20 times, so that they do not hold up everybody else who needs the tables.
    public func withMigrationLock<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        if MigrationLock.isHeld(for: self) { return try await body() }
        try Task.checkCancellation()
        return try await MigrationLock(configuration, on: currentLoop, log: log).hold(for: self, body)
    }
}
