import Apus
import ApusJSON
import ApusSQLite
import ApusTesting
import Foundation
import Testing

@testable import DeliveryTracker

/// The real binary over real sockets.
@Suite(.serialized, .timeLimit(.minutes(2))) struct BinaryTests {
    @Test func `The five steps: accounts, payment, race, live positions, pushes`() async throws {
        try await withFolder { folder in
            let (process, port) = try await TrackerProcess.serving(in: folder)
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
            // Nobody watches yet: the push goes out.
            #expect(await process.wait { $0.contains { $0.hasPrefix("PUSH ") && $0.contains("is paid") } })

            async let first = drivers[0].post("/v1/orders/\(placed.order.id)/assignment").status.code
            async let second = drivers[1].post("/v1/orders/\(placed.order.id)/assignment").status.code
            let statuses = try await [first, second]
            #expect(statuses.sorted() == [200, 409])
            let driver = statuses[0] == 200 ? drivers[0] : drivers[1]

            try await customer.webSocket("/v1/orders/\(placed.order.id)/live") { socket in
                let snapshot = try await socket.receiveJSON(Scenario.Message.self)
                #expect(snapshot?.orders?.map(\.state) == [.assigned])
                try await driver.webSocket("/v1/drivers/position") { device in
                    try await device.send(json: GPSFix(latitude: 38.7369, longitude: -9.1427, at: Date()))
                    #expect(try await socket.receiveJSON(Scenario.Message.self)?.position?.place.latitude == 38.7369)
                    try await device.send(json: GPSFix(latitude: 39.7369, longitude: -9.1427, at: Date() + 1))
                    #expect(try await device.receiveJSON(Scenario.Message.self)?.reason == .jump)
                }
                // The server tells those who watch to come back when it stops.
                process.send(SIGTERM)
                #expect(try await socket.receive() == nil)
                #expect(socket.receivedCloseCode == 1012)
            }
            #expect(try await process.ended() == 0)
            #expect(process.lines.last?.contains(" stopped") == true)
        }
    }

    @Test func `It prints its API's description, which knows all of its types`() async throws {
        try await withFolder { folder in
            let process = try TrackerProcess(in: folder, ["openapi"])
            #expect(try await process.ended() == 0)
            let line = try #require(process.lines.first { $0.hasPrefix("{") })
            let document = try JSONCoding.decode(JSON.Value.self, from: line.utf8)
            #expect(document["paths"]?["/v1/orders/{id}"]?["get"] != nil)
            #expect(!process.lines.contains { $0.contains("could not be found out") })
        }
    }

    @Test func `Killed at any moment and started again, nothing is lost and nothing is done twice`() async throws {
        try await withFolder { folder in
            // Keys of the orders that clients want, each of which they repeat until it is answered.
            let keys = (0..<30).map { "\"order-\($0)\"" }
            var pushes: [String: Set<String>] = [:]
            var customer: TestClient?
            var orders: [String: PlacedOrder] = [:]
            for round in 0..<4 {
                let (process, port) = try await TrackerProcess.serving(
                    in: folder, ["--orders-per-second=1000", "--orders-idempotency-lease=300ms"])
                let scenario = Scenario(TestClient(port: port))
                if customer == nil { customer = try await scenario.register("customer") }
                let client = try #require(customer).at(port: port)
                let isLast = round == 3
                // Each round is killed in the middle of its work, a little later than the one before.
                let answered = await place(
                    keys, client, scenario, killing: isLast ? nil : process, after: 5 + round * 12)
                for (key, placed) in answered {
                    if let before = orders[key] { #expect(before.order.id == placed.order.id, "\(key)") }
                    orders[key] = placed
                }
                if isLast {
                    #expect(answered.count == keys.count)
                    #expect(
                        await process.wait { lines in Set(lines.filter { $0.contains("is paid") }).isEmpty == false })
                    try await drain(folder)
                    process.send(SIGTERM)
                }
                _ = try await process.ended()
                for (push, ids) in process.pushes { pushes[push, default: []].formUnion(ids) }
            }
            let counts = try await counts(in: folder)
            #expect(counts.orders == keys.count)
            #expect(counts.paid == keys.count)
            #expect(counts.jobs == keys.count)
            #expect(counts.unfinished == 0)
            // A push may be printed again after a crash, but always under the same id, which shows it once.
            #expect(pushes.count == keys.count)
            #expect(pushes.values.allSatisfy { $0.count == 1 })
        }
    }

    /// Places and pays orders, several at a time, and kills the process after so many answers.
    private func place(
        _ keys: [String], _ client: TestClient, _ scenario: Scenario, killing process: TrackerProcess?, after limit: Int
    ) async -> [String: PlacedOrder] {
        await withTaskGroup(of: (String, PlacedOrder)?.self) { group in
            var answered: [String: PlacedOrder] = [:]
            var waiting = keys[...]
            func next() {
                guard let key = waiting.popFirst() else { return }
                group.addTask {
                    // Whatever fails here failed because the process was killed; the next round repeats it.
                    guard let placed = try? await Self.place(key, client, scenario),
                        let answer = try? await scenario.deliver(webhook: scenario.event(placed)),
                        answer.status == .ok || answer.status == .conflict
                    else { return nil }
                    return (key, placed)
                }
            }
            for _ in 0..<4 { next() }
            var count = 0
            for await result in group {
                count += 1
                if count == limit { process?.send(SIGKILL) }
                if let (key, placed) = result { answered[key] = placed }
                next()
            }
            process?.send(SIGKILL)
            return answered
        }
    }

    /// Places an order, and tries again while its key still belongs to the process that was killed.
    private static func place(_ key: String, _ client: TestClient, _ scenario: Scenario) async throws -> PlacedOrder {
        while true {
            do {
                return try await scenario.place(client, key: key)
            } catch let answer as UnexpectedResponse where answer.problem?.reason == "IDEMPOTENCY_KEY_IN_USE" {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// Waits until all jobs are done, by looking at the table: the database is open in the process too.
    private func drain(_ folder: URL) async throws {
        while try await counts(in: folder).unfinished > 0 { try await Task.sleep(for: .milliseconds(50)) }
    }

    private func counts(in folder: URL) async throws -> (orders: Int, paid: Int, jobs: Int, unfinished: Int) {
        let database = try SQLiteDatabase(path: folder.appending(path: "data/delivery-tracker.sqlite").path)
        func count(_ sql: SQL) async throws -> Int { try await database.query(sql).first?.get(0) ?? 0 }
        let result = (
            orders: try await count("SELECT COUNT(*) FROM orders"),
            paid: try await count(
                "SELECT COUNT(*) FROM orders JOIN payments ON order_id = orders.id AND payments.state = 'confirmed' WHERE orders.state = 'paid'"
            ),
            jobs: try await count("SELECT COUNT(*) FROM apus_jobs WHERE kind = 'send-push'"),
            unfinished: try await count("SELECT COUNT(*) FROM apus_jobs WHERE state <> 'completed'")
        )
        await database.close()
        return result
    }

    @Test func `The roles: migrate, routes, serve and worker, and a start that is refused with every reason`()
        async throws
    {
        try await withFolder { folder in
            let early = try TrackerProcess(in: folder, ["serve", "--http-port=0"])
            #expect(try await early.ended() == 1)
            #expect(await early.wait { $0.contains { $0.contains("run `delivery-tracker migrate`") } })
            let migrate = try TrackerProcess(in: folder, ["migrate"])
            #expect(try await migrate.ended() == 0)
            #expect(await migrate.wait { $0.contains("applied 2026-11-23-create-orders") })
            let routes = try TrackerProcess(in: folder, ["routes"])
            #expect(try await routes.ended() == 0)
            #expect(await routes.wait { $0.contains("POST    /v1/orders/:id/assignment") })
            let wrong = try TrackerProcess(in: folder, ["--http-port=99999", "--nonsense", "--auth-password-cost=x"])
            #expect(try await wrong.ended() == 1)
            #expect(
                await wrong.wait { lines in
                    lines.contains("The app cannot start: 3 problems.") && lines.contains { $0.contains("--nonsense") }
                })
            let verb = try TrackerProcess(in: folder, ["dance"])
            #expect(try await verb.ended() == 1)

            // One process answers, another one does the jobs.
            let (serve, port) = try await TrackerProcess.serving(
                in: folder, ["--jobs-poll-interval=10ms"], verb: "serve")
            let worker = try TrackerProcess(in: folder, ["worker", "--jobs-poll-interval=10ms"])
            let scenario = Scenario(TestClient(port: port))
            _ = try await scenario.placeAndPay(scenario.register("customer"))
            #expect(await worker.wait { $0.contains { $0.hasPrefix("PUSH ") } })
            #expect(serve.pushes.isEmpty)
            for process in [serve, worker] { process.send(SIGINT) }
            #expect(try await serve.ended() == 0)
            #expect(try await worker.ended() == 0)
        }
    }

    @Test func `A port that is taken stops the start and says so`() async throws {
        try await withFolder { folder in
            let (first, port) = try await TrackerProcess.serving(in: folder)
            let second = try TrackerProcess(in: folder, ["--http-port=\(port)"])
            #expect(try await second.ended() == 1)
            #expect(await second.wait { $0.contains { $0.contains("\(port)") && $0.contains("in use") } })
            first.send(SIGTERM)
            _ = try await first.ended()
        }
    }
}
