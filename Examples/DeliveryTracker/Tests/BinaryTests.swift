import Apus
import ApusJSON
import ApusTesting
import Foundation
import Geography
import Testing

@testable import DeliveryTracker

/// Tests of the real binary over real sockets.
@Suite(.serialized, .timeLimit(.minutes(10))) struct BinaryTests {
    @Test(arguments: StoredIn.available)
    func `Registration, payment, concurrent assignment, live positions and pushes work end to end`(
        stored: StoredIn
    ) async throws {
        try await withFolder { folder in
            let url = try await stored.newDatabase(in: folder)
            let (process, port) = try await TrackerProcess.startServer(in: folder, ["--database-url=\(url)"])
            let scenario = Scenario(TestClient(port: port))
            let customer = try await scenario.register("customer")
            let drivers = [try await scenario.register("driver"), try await scenario.register("driver")]

            let placed = try await scenario.place(customer, key: "\"once\"")
            #expect(try await scenario.place(customer, key: "\"once\"").order.id == placed.order.id)
            let body = try scenario.event(placed)
            let signature = scenario.signature.sign(body.readableBytesView)
            #expect(try await scenario.deliver(webhook: body, signature: "t=1,v1=00").status == .badRequest)
            #expect(try await scenario.deliver(webhook: body, signature: signature).status == .ok)
            #expect(try await scenario.deliver(webhook: body, signature: signature).status == .conflict)
            // The customer is not connected, so a push is sent.
            #expect(
                await process.wait { $0.contains { $0.hasPrefix("PUSH ") && $0.contains("received your payment") } })

            async let first = drivers[0].post("/v1/orders/\(placed.order.id)/assignment").status.code
            async let second = drivers[1].post("/v1/orders/\(placed.order.id)/assignment").status.code
            let statuses = try await [first, second]
            #expect(statuses.sorted() == [200, 409])
            let driver = statuses[0] == 200 ? drivers[0] : drivers[1]

            try await customer.webSocket("/v1/orders/\(placed.order.id)/live") { socket in
                let snapshot = try await socket.receiveJSON(Scenario.Message.self)
                #expect(snapshot?.orders?.map(\.state) == [.assigned])
                try await driver.webSocket("/v1/drivers/position") { device in
                    try await device.send(json: FixReport(latitude: 38.7369, longitude: -9.1427, at: Date()))
                    #expect(try await socket.receiveChange()?.position?.place.latitude == 38.7369)
                    try await device.send(json: FixReport(latitude: 39.7369, longitude: -9.1427, at: Date() + 1))
                    #expect(try await device.receiveJSON(Scenario.Message.self)?.reason == .speed)
                }
                // On shutdown, the server closes connections with 1012 (service restart).
                process.send(SIGTERM)
                #expect(try await socket.receive() == nil)
                #expect(socket.receivedCloseCode == 1012)
            }
            #expect(try await process.waitForExit() == 0)
            #expect(process.lines.last?.contains(" stopped") == true)
        }
    }

    @Test func `The openapi command prints a document with the schemas of all types`() async throws {
        try await withFolder { folder in
            let process = try TrackerProcess(in: folder, ["openapi"])
            #expect(try await process.waitForExit() == 0)
            let line = try #require(process.lines.first { $0.hasPrefix("{") })
            let document = try JSONCoding.decode(JSON.Value.self, from: line.utf8)
            #expect(document["paths"]?["/v1/orders/{id}"]?["get"] != nil)
            #expect(!process.lines.contains { $0.contains("could not be found out") })
        }
    }

    @Test(arguments: [["--help"], ["worker", "-h"], ["help", "migrate"], ["serve", "--http-port=80", "--help"]])
    func `The help lists every setting with its flag, variable and default, and starts nothing`(
        arguments: [String]
    ) async throws {
        try await withFolder { folder in
            let process = try TrackerProcess(in: folder, arguments)
            #expect(try await process.waitForExit() == 0)
            let text = process.lines.joined(separator: "\n")
            for part in [
                "--http-port, HTTP_PORT\n      an integer from 0 to 65535\n      default: 8080\n",
                "--orders-idempotency-lease, ORDERS_IDEMPOTENCY_LEASE\n", "at least 100ms\n      default: 10s\n",
                "--auth-secret, AUTH_SECRET\n", "default: a public one in development, else required\n",
            ] { #expect(text.contains(part), "\(part) in \(text)") }
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/data"))
        }
    }

    @Test func `An unknown role stops the start`() async throws {
        try await withFolder { folder in
            let process = try TrackerProcess(in: folder, ["dance"])
            #expect(try await process.waitForExit() == 1)
            #expect(process.lines.contains { $0.contains("\"dance\" is neither a role nor a flag") })
        }
    }

    @Test(arguments: [["help", "dance"], ["dance", "--help"], ["serve", "worker", "--help"], ["--help", "dance"]])
    func `Help for something that is not a role is an error`(arguments: [String]) async throws {
        try await withFolder { folder in
            let process = try TrackerProcess(in: folder, arguments)
            #expect(try await process.waitForExit() != 0)
            #expect(process.lines.contains { $0.contains("is neither a role nor a flag") })
        }
    }

    @Test(arguments: StoredIn.available)
    func `No order is lost or processed twice when the process is killed and restarted`(
        stored: StoredIn
    ) async throws {
        try await withFolder { folder in
            let url = try await stored.newDatabase(in: folder)
            // The idempotency keys of the orders. An order is retried in each round and must stay the same.
            let keys = (0..<30).map { "\"order-\($0)\"" }
            var pushes: [String: Set<String>] = [:]
            var customer: TestClient?
            var orders: [String: PlacedOrder] = [:]
            for round in 0..<4 {
                let (process, port) = try await TrackerProcess.startServer(
                    in: folder,
                    ["--database-url=\(url)", "--orders-per-second=1000", "--orders-idempotency-lease=300ms"])
                let scenario = Scenario(TestClient(port: port))
                if customer == nil { customer = try await scenario.register("customer") }
                let client = try #require(customer).at(port: port)
                let isLast = round == 3
                // Each round kills the process under load, a little later than the previous round.
                let placedOrders = await place(
                    keys, client, scenario, killing: isLast ? nil : process, after: 5 + round * 12)
                for (key, placed) in placedOrders {
                    if let previous = orders[key] { #expect(previous.order.id == placed.order.id, "\(key)") }
                    orders[key] = placed
                }
                if isLast {
                    #expect(placedOrders.count == keys.count)
                    try await drain(stored, url)
                    process.send(SIGTERM)
                }
                _ = try await process.waitForExit()
                for (push, ids) in process.pushes { pushes[push, default: []].formUnion(ids) }
            }
            let counts = try await counts(stored, url)
            #expect(counts.orders == keys.count)
            #expect(counts.paid == keys.count)
            #expect(counts.jobs == keys.count)
            #expect(counts.unfinished == 0)
            // A push may be printed again after a crash, but with the same id, so that the device shows it once.
            #expect(pushes.count == keys.count)
            #expect(pushes.values.allSatisfy { $0.count == 1 })
        }
    }

    /// Places and pays for orders, four at a time, and kills the process after `limit` results.
    private func place(
        _ keys: [String], _ client: TestClient, _ scenario: Scenario, killing process: TrackerProcess?, after limit: Int
    ) async -> [String: PlacedOrder] {
        await withTaskGroup(of: (String, PlacedOrder)?.self) { group in
            var placedOrders: [String: PlacedOrder] = [:]
            var remainingKeys = keys[...]
            func next() {
                guard let key = remainingKeys.popFirst() else { return }
                group.addTask {
                    // A failure means that the process was killed; the next round retries the order.
                    guard let placed = try? await Self.place(key, client, scenario),
                        let response = try? await scenario.deliver(webhook: scenario.event(placed)),
                        response.status == .ok || response.status == .conflict
                    else { return nil }
                    return (key, placed)
                }
            }
            for _ in 0..<4 { next() }
            var count = 0
            for await result in group {
                count += 1
                if count == limit { process?.send(SIGKILL) }
                if let (key, placed) = result { placedOrders[key] = placed }
                next()
            }
            process?.send(SIGKILL)
            return placedOrders
        }
    }

    /// Places an order, retrying while its key is still leased by the killed process.
    private static func place(_ key: String, _ client: TestClient, _ scenario: Scenario) async throws -> PlacedOrder {
        while true {
            do {
                return try await scenario.place(client, key: key)
            } catch let error as UnexpectedResponse where error.problem?.reason == "IDEMPOTENCY_KEY_IN_USE" {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// Polls the job table until all jobs are completed. The process has the database open at the same time.
    private func drain(_ stored: StoredIn, _ url: String) async throws {
        while try await counts(stored, url).unfinished > 0 { try await Task.sleep(for: .milliseconds(50)) }
    }

    private func counts(
        _ stored: StoredIn, _ url: String
    ) async throws -> (orders: Int, paid: Int, jobs: Int, unfinished: Int) {
        try await stored.open(url) { database in
            func count(_ sql: SQL) async throws -> Int { try await database.query(sql).first?.get(0) ?? 0 }
            return (
                orders: try await count("SELECT COUNT(*) FROM orders"),
                paid: try await count(
                    "SELECT COUNT(*) FROM orders JOIN payments ON order_id = orders.id AND payments.state = 'confirmed' WHERE orders.state = 'paid'"
                ),
                jobs: try await count("SELECT COUNT(*) FROM apus_job WHERE kind = 'send-push'"),
                unfinished: try await count("SELECT COUNT(*) FROM apus_job WHERE state <> 'completed'")
            )
        }
    }

    @Test(arguments: StoredIn.available)
    func `The commands migrate, routes, serve and worker run, and a failed start reports every problem`(
        stored: StoredIn
    ) async throws {
        try await withFolder { folder in
            let url = "--database-url=\(try await stored.newDatabase(in: folder))"
            let unmigrated = try TrackerProcess(in: folder, ["serve", "--http-port=0", url])
            #expect(try await unmigrated.waitForExit() == 1)
            #expect(await unmigrated.wait { $0.contains { $0.contains("run `delivery-tracker migrate`") } })
            let migrate = try TrackerProcess(in: folder, ["migrate", url])
            #expect(try await migrate.waitForExit() == 0)
            #expect(await migrate.wait { $0.contains("applied 2026-11-23-create-orders") })
            let again = try TrackerProcess(in: folder, ["migrate", url])
            #expect(try await again.waitForExit() == 0)
            #expect(again.lines.allSatisfy { !$0.hasPrefix("applied ") })
            let routes = try TrackerProcess(in: folder, ["routes", url])
            #expect(try await routes.waitForExit() == 0)
            #expect(await routes.wait { $0.contains("POST    /v1/orders/:id/assignment") })
            let misconfigured = try TrackerProcess(
                in: folder, [url, "--http-port=99999", "--nonsense", "--auth-password-cost=x"])
            #expect(try await misconfigured.waitForExit() == 1)
            #expect(
                await misconfigured.wait { lines in
                    lines.contains("The app cannot start: 3 problems.") && lines.contains { $0.contains("--nonsense") }
                })
            let unknown = try TrackerProcess(in: folder, ["unknown"])
            #expect(try await unknown.waitForExit() == 1)

            // One process serves requests, another one runs jobs.
            let (serve, port) = try await TrackerProcess.startServer(
                in: folder, [url, "--jobs-poll-interval=10ms"], command: "serve")
            let worker = try TrackerProcess(in: folder, ["worker", url, "--jobs-poll-interval=10ms"])
            let scenario = Scenario(TestClient(port: port))
            _ = try await scenario.placeAndPay(scenario.register("customer"))
            #expect(await worker.wait { $0.contains { $0.hasPrefix("PUSH ") } })
            #expect(serve.pushes.isEmpty)
            for process in [serve, worker] { process.send(SIGINT) }
            #expect(try await serve.waitForExit() == 0)
            #expect(try await worker.waitForExit() == 0)
        }
    }

    @Test func `The start fails and reports the port if it is in use`() async throws {
        try await withFolder { folder in
            let (first, port) = try await TrackerProcess.startServer(in: folder)
            let second = try TrackerProcess(in: folder, ["--http-port=\(port)"])
            #expect(try await second.waitForExit() == 1)
            #expect(await second.wait { $0.contains { $0.contains("\(port)") && $0.contains("in use") } })
            first.send(SIGTERM)
            _ = try await first.waitForExit()
        }
    }
}
