import ApusCore
import ApusData
import ApusPostgres
import ApusTesting
import Testing

/// Connections that break at each message of the protocol. One after the other: other tests have limits of time.
@Suite(.enabled(if: TestPostgres.isAvailable), .serialized, .timeLimit(.minutes(10)))
struct ConnectionFaultTests {
    /// The name that the server shows for the connections that break.
    private static let victim = "victim"

    /// Runs a closure with a database behind a proxy, and one that leads past it.
    private func withProxy(
        server: TestPostgres, _ body: (PostgresDatabase, FaultProxy, _ observer: PostgresDatabase) async throws -> Void
    ) async throws {
        let name = try await server.createDatabase()
        let observer = try PostgresDatabase(
            PostgresConfiguration(url: server.url(database: name, parameters: Self.slow)))
        for statement in FaultScenario.tables { try await observer.execute(statement) }
        try await FaultProxy.with(serverPort: server.port) { proxy in
            let database = try Self.database(server, name, proxy)
            try await body(database, proxy, observer)
            await database.close()
        }
        await observer.close()
    }

    /// Many tests run at once on few processors.
    private static let slow = "connect_timeout=60"

    private static func database(
        _ server: TestPostgres, _ name: String, _ proxy: FaultProxy, tls: String = "disable"
    ) throws -> PostgresDatabase {
        let parameters = "sslmode=\(tls)&pool_size=1&shared_connections=1&application_name=\(victim)&\(slow)"
        let url = server.url(database: name, parameters: parameters)
        return try PostgresDatabase(
            PostgresConfiguration(url: url.replacing(":\(server.port)/", with: ":\(proxy.port)/")))
    }

    /// Waits until the server has ended the connections that a client has lost, and so their transactions.
    private func waitForEndOfVictims(_ observer: PostgresDatabase, remaining: Int) async throws {
        let victims: SQL = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = \(Self.victim)
            """
        try await withDeadline(.after(.seconds(60))) {
            while try await observer.value(victims, as: Int.self) > remaining {}
        }
    }

    /// The places at which a connection may break, for a message number. Of messages that come late, such as rows, one
    /// place each.
    private static func faults(_ side: Fault.Side, _ number: Int) -> [Fault] {
        let all = Fault.Place.allCases
        let places = number < 16 ? all : [all[number % all.count]]
        return places.enumerated().map { index, place in
            let effect: Fault.Effect = (number + index).isMultiple(of: 2) ? .close : .reset
            return Fault(side: side, position: .message(number, place), effect: effect)
        }
    }

    /// Breaks a connection at one place after the other, until the work is done before the place is reached.
    /// - Parameter body: Checks one fault. Returns whether its place was reached.
    /// - Returns: The number of messages at which a connection was broken.
    private func breakEverywhere(
        _ side: Fault.Side, _ body: (Fault) async throws -> Bool
    ) async throws -> Int {
        for number in 0..<200 {
            var hasStruck = false
            for fault in Self.faults(side, number) { hasStruck = try await body(fault) || hasStruck }
            if !hasStruck { return number }
        }
        return 200
    }

    /// Does the work while a connection breaks, and then again.
    /// - Returns: Whether the place of the fault was reached.
    private func check(
        _ fault: Fault, _ scenario: FaultScenario, _ database: PostgresDatabase, _ proxy: FaultProxy,
        _ observer: PostgresDatabase
    ) async throws -> Bool {
        let before = try await scenario.effect(observer)
        proxy.arm(fault)
        let error = await failure { try await bounded { try await scenario.run(on: database) } }
        let hasStruck = proxy.disarm()
        if hasStruck, error == nil {
            // The connection was lost after the work was done. The database has not always noticed it yet.
            let unnoticed = await failure {
                try await bounded {
                    while database.statistics.connections > proxy.intactConnections {
                        _ = try await observer.query("SELECT 1")
                    }
                }
            }
            #expect(unnoticed == nil, "after \(fault)")
        }
        let next = await failure { try await bounded { try await scenario.run(on: database) } }
        #expect(next == nil, "after \(fault): \(String(reflecting: next))")
        try await checkIdle(database, fault)
        let remaining = await failure {
            try await waitForEndOfVictims(observer, remaining: database.statistics.connections)
        }
        #expect(remaining == nil, "after \(fault)")
        let after = try await scenario.effect(observer)
        #expect(after.isWhole, "\(fault)")
        let change = after.commits - before.commits - scenario.commits
        switch error?.code {
        case nil: #expect(change == scenario.commits, "\(fault)")
        case .unavailable: #expect(change == 0, "\(fault): \(String(reflecting: error))")
        default: #expect(change == 0 || change == scenario.commits, "\(fault): \(String(reflecting: error))")
        }
        #expect(error.map { scenario.codes.contains($0.code) } ?? true, "\(fault): \(String(reflecting: error))")
        #expect(hasStruck || error == nil, "\(fault): \(String(reflecting: error))")
        return hasStruck
    }

    /// Nothing is left behind.
    private func checkIdle(_ database: PostgresDatabase, _ fault: Fault) async throws {
        let statistics = await database.detailedStatistics()
        #expect(statistics.waitingStatements == 0 && statistics.runningStatements == 0, "\(fault)")
        #expect(statistics.waitingForExclusive == 0 && statistics.connecting == 0, "\(fault)")
        #expect(statistics.exclusiveConnections == statistics.idleExclusiveConnections, "\(fault)")
    }

    @Test(arguments: FaultScenario.allCases, Fault.Side.allCases)
    func `A connection that breaks at any message fails the work as a whole, and the next one succeeds`(
        scenario: FaultScenario, side: Fault.Side
    ) async throws {
        try await onOneLoop {
            try await withProxy(server: .shared()) { database, proxy, observer async throws in
                // Opens the connections, and prepares the statements.
                try await scenario.run(on: database)
                let count = try await breakEverywhere(side) { fault async throws in
                    try await check(fault, scenario, database, proxy, observer)
                }
                #expect(count >= 1 && count < 200)
            }
        }
    }

    @Test(arguments: [FaultScenario.write, .transaction], Fault.Side.allCases)
    func `A connection that breaks at any message of its start fails those who wait for it, and is opened again`(
        scenario: FaultScenario, side: Fault.Side
    ) async throws {
        var options = TestPostgres.Options()
        options.authentication = "scram-sha-256"
        options.password = "pencil"
        let server = try await TestPostgres.start(options)
        try await onOneLoop {
            try await withProxy(server: server) { _, proxy, observer async throws in
                let name = try await observer.value("SELECT current_database()", as: String.self)
                let count = try await breakEverywhere(side) { fault async throws in
                    let database = try Self.database(server, name, proxy)
                    let hasStruck = try await check(fault, scenario, database, proxy, observer)
                    await database.close()
                    try await waitForEndOfVictims(observer, remaining: 0)
                    return hasStruck
                }
                // The server sends three messages of SCRAM and more than ten parameters; the client sends three
                // messages, and those of the work.
                #expect(count >= (side == .server ? 20 : 8) && count < 200)
            }
        }
        await server.stop()
    }

    @Test(arguments: Fault.Side.allCases)
    func `A connection that breaks within the handshake of TLS, or after it, is no different`(
        side: Fault.Side
    ) async throws {
        let certificates = try TestCertificates()
        var options = TestPostgres.Options()
        options.authentication = "scram-sha-256"
        options.password = "pencil"
        options.settings = ["ssl": "on"]
        options.files = ["server.crt": certificates.server.certificate, "server.key": certificates.server.key]
        let server = try await TestPostgres.start(options)
        try await onOneLoop {
            try await withProxy(server: server) { _, proxy, observer async throws in
                let name = try await observer.value("SELECT current_database()", as: String.self)
                var offset = 0
                while offset < 1 << 20 {
                    let effect: Fault.Effect = offset.isMultiple(of: 2) ? .close : .reset
                    let fault = Fault(side: side, position: .byte(offset), effect: effect)
                    let database = try Self.database(server, name, proxy, tls: "require")
                    let hasStruck = try await check(fault, .transaction, database, proxy, observer)
                    await database.close()
                    try await waitForEndOfVictims(observer, remaining: 0)
                    if !hasStruck { break }
                    offset += 1 + offset / 8
                }
                // The handshake alone is longer.
                #expect((500..<1 << 20).contains(offset))
            }
        }
        await server.stop()
    }

    // MARK: Answers that do not come

    private static let sleeping: SQL = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'
        """

    @Test func `A cancel request that is lost is repeated`() async throws {
        try await withProxy(server: .shared()) { database, proxy, observer async throws in
            let slow = Task { await code { _ = try await database.query("SELECT pg_sleep(600)") } }
            try await bounded { while try await observer.value(Self.sleeping, as: Int.self) == 0 {} }
            // The next message of a client is the cancel request.
            proxy.arm(Fault(side: .client, position: .message(0, .before), effect: .close))
            slow.cancel()
            #expect(await slow.value == .cancelled)
            try await bounded { while try await observer.value(Self.sleeping, as: Int.self) > 0 {} }
            #expect(proxy.disarm())
            #expect(try await database.value("SELECT 5", as: Int.self) == 5)
        }
    }

    @Test func `A commit whose answer never comes ends some time after the deadline, with an unknown outcome`()
        async throws
    {
        try await onOneLoop {
            try await withProxy(server: .shared()) { database, proxy, observer async throws in
                let error = await failure {
                    try await withDeadline(.after(.seconds(2))) {
                        try await database.transaction {
                            try await database.execute("UPDATE t SET n = n + 1")
                            proxy.arm(Fault(side: .server, position: .message(0, .before), effect: .silence))
                        }
                    }
                }
                #expect(proxy.disarm())
                #expect(error?.code == .unknown)
                #expect(try await observer.value("SELECT sum(n)::int FROM t") == 2)
                #expect(database.statistics.waiting == 0)
                try await FaultScenario.transaction.run(on: database)
                #expect(try await observer.value("SELECT sum(n)::int FROM t") == 4)
            }
        }
    }

    @Test func `A copy whose closure fails before the server asks for data adds nothing, and ends`() async throws {
        try await withProxy(server: .shared()) { database, _, observer async throws in
            for _ in 0..<3 {
                let error = await failure {
                    try await bounded {
                        _ = try await database.copyIn("COPY copied FROM STDIN") { _ in throw AppError(.aborted, "Stop.")
                        }
                    }
                }
                #expect(error?.code == .aborted)
                try await FaultScenario.copyIn.run(on: database)
            }
            #expect(try await observer.value("SELECT count(*) FROM copied", as: Int.self) == 6)
            #expect(await database.detailedStatistics().exclusiveConnections == 1)
        }
    }
}

/// Runs a closure that must not hang.
func bounded<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    try await withDeadline(.after(.seconds(60)), body)
}

/// Returns the error that a closure throws; `nil` if it throws none.
func failure(_ body: () async throws -> Void) async -> AppError? {
    do {
        try await body()
        return nil
    } catch {
        return AppError(wrapping: error)
    }
}
