import ApusCore
import ApusData
import Logging
import NIOCore
import NIOPosix

/// Opens connections: to the first host that accepts one and is of the kind that is wanted.
struct PostgresConnector: Sendable {
    let configuration: PostgresConfiguration
    private let tls: TLSSettings
    private let log: Logger

    init(_ configuration: PostgresConfiguration, log: Logger) throws {
        self.configuration = configuration
        self.log = log
        tls = try TLSSettings(configuration)
    }

    /// Why no host could be used. Logged as the cause of an `AppError`.
    struct Failure: Error, CustomStringConvertible {
        let reasons: [(host: PostgresConfiguration.Host, error: any Error)]

        var description: String {
            reasons.map { "\($0.host): \(String(reflecting: $0.error))" }.joined(separator: "; ")
        }
    }

    /// Opens a connection on an event loop.
    /// - Throws: An `AppError`: `unavailable` if no host can be reached or is of the kind that is wanted, another code
    ///   if the configuration does not fit the server.
    func connect(on loop: any EventLoop, _ statements: LoopStatements) async throws -> PostgresConnection {
        var reasons: [(host: PostgresConfiguration.Host, error: any Error)] = []
        let target = configuration.targetSession
        for wanted in target == .preferStandby ? [.standby, .any] : [target] {
            for host in configuration.hosts {
                do {
                    let connection = try await connect(to: host, on: loop, statements)
                    do {
                        try await check(connection, wanted)
                    } catch {
                        loop.execute { connection.close() }
                        throw error
                    }
                    return connection
                } catch {
                    reasons.append((host, error))
                }
            }
        }
        let errors = reasons.compactMap { $0.error as? AppError }
        let cause = Failure(reasons: reasons)
        if errors.count == reasons.count, let error = errors.last, errors.allSatisfy({ $0.code != .unavailable }) {
            throw AppError(error.code, error.message, cause: cause)
        }
        throw AppError(.unavailable, "The database cannot be reached.", cause: cause)
    }

    private func connect(
        to host: PostgresConfiguration.Host, on loop: any EventLoop, _ statements: LoopStatements
    ) async throws -> PostgresConnection {
        let attempts = tls.attempts(for: host)
        do {
            return try await connect(to: host, attempts[0], on: loop, statements)
        } catch let error as AppError where attempts.count > 1 && Self.isRefusal(error) {
            return try await connect(to: host, attempts[1], on: loop, statements)
        }
    }

    private func connect(
        to host: PostgresConfiguration.Host, _ encryption: TLSSettings.Attempt, on loop: any EventLoop,
        _ statements: LoopStatements
    ) async throws -> PostgresConnection {
        do {
            return try await connect(to: host, encryption, on: loop, statements, isMinimal: false)
        } catch let error as AppError where Self.isUnknownParameter(error) {
            return try await connect(to: host, encryption, on: loop, statements, isMinimal: true)
        }
    }

    /// Whether the server has refused the session for another reason than the password, such as that `pg_hba.conf` has no
    /// entry for connections that are encrypted, or not.
    private static func isRefusal(_ error: AppError) -> Bool {
        (error.cause as? PostgresError)?.sqlState == "28000"
    }

    /// Whether a connection pooler has rejected a parameter of the startup message.
    private static func isUnknownParameter(_ error: AppError) -> Bool {
        (error.cause as? PostgresError)?.message.contains(bytesOf: "unsupported startup parameter") ?? false
    }

    private func connect(
        to host: PostgresConfiguration.Host, _ encryption: TLSSettings.Attempt, on loop: any EventLoop,
        _ statements: LoopStatements, isMinimal: Bool
    ) async throws -> PostgresConnection {
        var options = PostgresConnection.Machine.Options()
        options.user = configuration.user
        options.password = configuration.password
        options.parameters = configuration.startupParameters(isMinimal: isMinimal)
        options.preparesStatements = configuration.preparesStatements ?? true
        options.channelBinding = configuration.channelBinding
        let (finalOptions, timeout) = (options, TimeAmount(configuration.connectTimeout))
        let connection = try await open(host, on: loop).flatMapThrowing { channel in
            let connection = PostgresConnection(
                loop: loop, host: host, options: finalOptions,
                maximumMessageBytes: configuration.maximumMessageBytes, tls: tls,
                encryption: encryption, statements: statements, log: log)
            try channel.pipeline.syncOperations.addHandler(connection)
            let watchdog = loop.scheduleTask(in: timeout) {
                connection.perform(
                    connection.machine.fail(
                        AppError(.unavailable, "The database did not accept the connection in time.")))
            }
            connection.startPromise.futureResult.whenComplete { _ in watchdog.cancel() }
            return connection
        }.get()
        try await connection.startPromise.futureResult.get()
        do {
            if try await connection.leadsThroughPooler(), configuration.preparesStatements == nil {
                await connection.onLoop { $0.machine.options.preparesStatements = false }
            }
        } catch {
            loop.execute { connection.close() }
            throw error
        }
        return connection
    }

    /// Opens a socket. A host's name is resolved each time.
    private func open(_ host: PostgresConfiguration.Host, on loop: any EventLoop) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: loop).connectTimeout(TimeAmount(configuration.connectTimeout))
        switch host {
        case .tcp(let name, let port):
            return bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .noticingLostPeers()
                .connect(host: name, port: port)
        case .unixSocket(let folder, let port):
            return bootstrap.connect(unixDomainSocketPath: "\(folder)/.s.PGSQL.\(port)")
        }
    }

    // MARK: The kind of server

    private func check(_ connection: PostgresConnection, _ wanted: PostgresConfiguration.TargetSession) async throws {
        if let mismatch = try await mismatch(of: connection, wanted) {
            throw AppError(.unavailable, "The server \(mismatch).")
        }
    }

    /// Returns why a server is not of the kind that is wanted; `nil` if it is.
    private func mismatch(
        of connection: PostgresConnection, _ wanted: PostgresConfiguration.TargetSession
    ) async throws -> String? {
        if wanted == .any || wanted == .preferStandby { return nil }
        let (isStandby, isReadOnly) = try await kind(of: connection)
        switch wanted {
        case .any, .preferStandby: return nil
        case .readWrite: return isStandby || isReadOnly ? "does not accept writes" : nil
        case .readOnly: return isStandby || isReadOnly ? nil : "accepts writes"
        case .primary: return isStandby ? "is a standby" : nil
        case .standby: return isStandby ? nil : "is not a standby"
        }
    }

    private func kind(of connection: PostgresConnection) async throws -> (isStandby: Bool, isReadOnly: Bool) {
        let parameters = await connection.onLoop { $0.machine.parameters }
        // Reported since version 14.
        if let standby = parameters["in_hot_standby"], let readOnly = parameters["default_transaction_read_only"] {
            return (standby == "on", readOnly == "on")
        }
        let sql = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')"
        guard let row = try await PendingRequest(.simple(sql)).perform(on: connection).rows.first else {
            throw AppError(.unavailable, "The database has not said whether it is a standby.")
        }
        return (try row.get(0, as: Bool.self), try row.get(1, as: String.self) == "on")
    }
}
