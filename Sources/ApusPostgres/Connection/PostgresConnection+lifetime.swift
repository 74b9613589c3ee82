import ApusData
import NIOCore

extension PostgresConnection {
    /// How long a check may take.
    private static let pingTimeout = TimeAmount.seconds(2)
    /// How long finding out about a pooler may take. It waits until the pooler has a server connection.
    private static let poolerTimeout = TimeAmount.seconds(30)

    /// Whether the connection is too old. The limit of each connection is a little different.
    func hasExpired(_ configuration: PostgresConfiguration, now: NIODeadline) -> Bool {
        now - createdAt > TimeAmount(configuration.maximumLifetime * lifetimeFactor)
    }

    /// Whether the connection was not used for so long that it may be broken.
    func needsCheck(_ configuration: PostgresConfiguration, now: NIODeadline) -> Bool {
        now - lastUse > TimeAmount(configuration.checkInterval)
    }

    /// Finds out whether the connection leads through a connection pooler such as PgBouncer. Only then the server process
    /// that runs its statements is not the one that was announced.
    func leadsThroughPooler() async throws -> Bool {
        let request = PendingRequest(.simple("SELECT pg_catalog.pg_backend_pid()"))
        let watchdog = loop.scheduleTask(in: Self.poolerTimeout) { self.close() }
        defer { watchdog.cancel() }
        let rows = try await request.performUncancelled(on: self).rows
        let process = try rows.first?.get(0, as: Int.self)
        return await onLoop { connection in
            connection.isPooled = process != connection.machine.backendKey.map { Int($0.process) }
            return connection.isPooled
        }
    }

    /// Checks the connection, and closes it if the server does not answer in time, or with an error.
    /// - Parameters:
    ///   - timeout: How long the check may take. 2 seconds by default: somebody may wait for the connection.
    ///   - completion: Called with whether the server has answered.
    func ping(timeout: TimeAmount = PostgresConnection.pingTimeout, _ completion: @escaping (Bool) -> Void = { _ in }) {
        let request = PendingRequest(.simple("SELECT 1"))
        let watchdog = loop.scheduleTask(in: timeout) { self.close() }
        request.whenFinished { result in
            watchdog.cancel()
            if case .success = result { return completion(true) }
            self.close()
            completion(false)
        }
        submit(request)
    }
}
