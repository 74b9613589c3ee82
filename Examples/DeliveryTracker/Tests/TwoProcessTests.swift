import Apus
import ApusTesting
import Foundation
import Geography
import Testing

@testable import DeliveryTracker

/// Two processes of the real binary, on one Postgres database and, depending on the test, one Redis.
@Suite(.serialized, .enabled(if: TestPostgres.isAvailable), .timeLimit(.minutes(10))) struct TwoProcessTests {
    /// What carries messages from one process to the other.
    enum Sharing: CaseIterable {
        case redis
        /// `NOTIFY` of the database.
        case database

        static var available: [Sharing] { TestRedis.isInstalled ? allCases : [.database] }
    }

    /// The two servers, and clients of each.
    private struct Servers {
        let processes: [TrackerProcess]
        let scenarios: [Scenario]
        let ports: [Int]
        /// The name of their database.
        let database: String
    }

    private func withServers(
        _ sharing: Sharing, _ arguments: [String] = [], _ body: (Servers, TestRedis?) async throws -> Void
    ) async throws {
        switch sharing {
        case .redis:
            try await TestRedis.run { redis in
                try await withServers(arguments + ["--redis-url=\(redis.url)"]) { try await body($0, redis) }
            }
        case .database: try await withServers(arguments) { try await body($0, nil) }
        }
    }

    private func withServers(_ arguments: [String], _ body: (Servers) async throws -> Void) async throws {
        let server = try await TestPostgres.shared()
        let database = try await server.createDatabase()
        let url = server.url(database: database)
        try await withFolder { folder in
            var (processes, ports): ([TrackerProcess], [Int]) = ([], [])
            defer { for process in processes { process.send(SIGKILL) } }
            for _ in 0..<2 {
                let (process, port) = try await TrackerProcess.startServer(
                    in: folder, ["--database-url=\(url)", "--jobs-poll-interval=10ms"] + arguments)
                processes.append(process)
                ports.append(port)
            }
            let scenarios = ports.map { Scenario(TestClient(port: $0)) }
            try await body(Servers(processes: processes, scenarios: scenarios, ports: ports, database: database))
            for process in processes {
                process.send(SIGTERM)
                #expect(try await process.waitForExit() == 0)
            }
        }
    }

    /// Receives messages until one meets a condition. On a slow machine, a process may subscribe late, and sends everything
    /// again then.
    /// - Returns: `false` if the connection ended before.
    private func arrives(
        on socket: TestWebSocket, where isMet: (Scenario.Message) -> Bool
    ) async throws -> Bool {
        while let message = try await socket.receiveJSON(Scenario.Message.self) {
            if isMet(message) { return true }
        }
        return false
    }

    @Test(arguments: Sharing.available) func `A driver on one process reaches a customer on the other`(
        sharing: Sharing
    ) async throws {
        try await withServers(sharing) { servers, _ in
            // Accounts, tokens and orders of one process are those of the other.
            let customer = try await servers.scenarios[0].register("customer").at(port: servers.ports[1])
            let driver = try await servers.scenarios[1].register("driver").at(port: servers.ports[0])
            let order = try await servers.scenarios[0].placeAndPay(customer)
            try await customer.webSocket("/v1/orders/\(order.id)/live") { socket in
                #expect(try await socket.receiveJSON(Scenario.Message.self)?.orders?.map(\.state) == [.paid])
                #expect(try await driver.call(OrderEndpoints.assign, order.id).state == .assigned)
                #expect(try await arrives(on: socket) { $0.order?.state == .assigned })
                let start = Date()
                try await driver.webSocket("/v1/drivers/position") { device in
                    for step in 0..<3 {
                        let place = Place(wrapping: 38.7369 + Double(step) * 0.0001, -9.1427)
                        try await device.send(
                            json: FixReport(
                                latitude: place.latitude, longitude: place.longitude, at: start + Double(step)))
                        #expect(try await arrives(on: socket) { $0.position?.place == place })
                    }
                }
                // A later connection to the other process gets the latest position at once, as soon as this is known there.
                var latitude: Double?
                while latitude != 38.7369 + 2 * 0.0001 {
                    latitude = try await customer.webSocket("/v1/orders/\(order.id)/live") { second in
                        try await second.receiveJSON(Scenario.Message.self)?.positions?.first?.place.latitude
                    }
                }
                // A driver that connects to the other process cannot jump, either.
                try await driver.at(port: servers.ports[1]).webSocket("/v1/drivers/position") { device in
                    try await device.send(json: FixReport(latitude: 39.7369, longitude: -9.1427, at: start + 3))
                    #expect(try await device.receiveJSON(Scenario.Message.self)?.reason == .speed)
                }
            }
        }
    }

    @Test(arguments: Sharing.available) func `A push is sent only to a customer who is connected to no process`(
        sharing: Sharing
    ) async throws {
        try await withServers(sharing) { servers, _ in
            let customer = try await servers.scenarios[1].register("customer")
            let driver = try await servers.scenarios[0].register("driver")
            let order = try await servers.scenarios[1].placeAndPay(customer)
            try await customer.webSocket("/v1/orders/\(order.id)/live") { socket in
                #expect(try await socket.receiveJSON(Scenario.Message.self)?.type == "snapshot")
                _ = try await driver.call(OrderEndpoints.assign, order.id)
                _ = try await driver.call(OrderEndpoints.pickUp, order.id)
                #expect(try await socket.receiveChange()?.order?.state == .assigned)
                #expect(try await socket.receiveChange()?.order?.state == .pickedUp)
                try await socket.close()
            }
            try await waitUntilUnwatched(servers)
            _ = try await driver.call(OrderEndpoints.deliver, order.id)
            let arrived: @Sendable ([String]) -> Bool = { $0.contains { $0.hasSuffix("Your order has arrived.") } }
            // Either process may run the job.
            await withTaskGroup { group in
                for process in servers.processes { group.addTask { await process.wait(for: arrived) } }
                #expect(await group.next() == true)
                group.cancelAll()
            }
            let pushes = servers.processes.flatMap(\.lines).filter { $0.hasPrefix("PUSH ") }
            #expect(!pushes.contains { $0.contains("accepted your order") || $0.contains("on its way") }, "\(pushes)")
        }
    }

    @Test(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)"))
    func `Rate limits count the requests to both processes`() async throws {
        try await withServers(.redis, ["--accounts-per-minute=4"]) { servers, _ in
            var statuses: [Int] = []
            for number in 0..<5 {
                let login = ["email": "nobody@example.org", "password": "a wrong password"]
                statuses.append(
                    try await servers.scenarios[number % 2].client.post("/v1/sessions", json: login).status.code)
            }
            #expect(statuses == [401, 401, 401, 401, 429])
        }
    }

    @Test(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)"))
    func `A customer gets a new snapshot when Redis is back`() async throws {
        try await withServers(.redis) { servers, redis in
            let customer = try await servers.scenarios[1].register("customer")
            let driver = try await servers.scenarios[0].register("driver")
            let order = try await servers.scenarios[1].placeAndPay(customer)
            try await customer.webSocket("/v1/orders/\(order.id)/live") { socket in
                #expect(try await socket.receiveJSON(Scenario.Message.self)?.orders?.map(\.state) == [.paid])
                redis?.kill()
                // Requests are served without Redis.
                #expect(try await driver.call(OrderEndpoints.assign, order.id).state == .assigned)
                let ready = try await servers.scenarios[0].client.get("/health/ready")
                #expect(ready.status == .ok && ready.text.contains("degraded"))
                try await redis?.restart()
                // The changes since then may come before it, depending on which process reconnects first.
                var message = try await socket.receiveJSON(Scenario.Message.self)
                while let received = message, received.type != "snapshot" {
                    message = try await socket.receiveJSON(Scenario.Message.self)
                }
                #expect(message?.orders?.map(\.state) == [.assigned])
            }
        }
    }

    /// Polls the table of watches until it is empty. The processes have the database open at the same time.
    private func waitUntilUnwatched(_ servers: Servers) async throws {
        let postgres = try await TestPostgres.shared()
        while try await postgres.psql("SELECT COUNT(*) FROM order_watches", database: servers.database).trimmed != "0" {
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
