import NIOCore

extension PostgresConnection {
    /// How long a check may take.
    private static let pingTimeout = TimeAmount.seconds(2)

    /// Whether the connection is too old. The limit of each connection is a little different.
    func hasExpired(_ configuration: PostgresConfiguration, now: NIODeadline) -> Bool {
        now - createdAt > TimeAmount(configuration.maximumLifetime * lifetimeFactor)
    }

    /// Whether the connection was not used for so long that it may be broken.
    func needsCheck(_ configuration: PostgresConfiguration, now: NIODeadline) -> Bool {
        now - lastUse > TimeAmount(configuration.checkInterval)
    }

    /// Checks the connection, and closes it if the server does not answer in time, or with an error.
    /// - Parameter completion: Called with whether the server has answered.
    func ping(_ completion: @escaping (Bool) -> Void = { _ in }) {
        let request = PendingRequest(.simple("SELECT 1"))
        let watchdog = loop.scheduleTask(in: Self.pingTimeout) { self.close() }
        request.whenFinished { result in
            watchdog.cancel()
            if case .success = result { return completion(true) }
            self.close()
            completion(false)
        }
        submit(request)
    }
}
