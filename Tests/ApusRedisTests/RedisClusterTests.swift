import ApusCore
import ApusTesting
import Logging
import NIOCore
import Testing

@testable import ApusRedis

/// Servers that are found through others: clusters, and primaries that sentinels name.
@Suite(.enabled(if: TestRedis.isInstalled, "\(TestRedis.notInstalled)")) struct RedisClusterTests {
    /// Runs a closure with a cluster of two servers, which have half of the slots each.
    private func withCluster(
        _ body: (_ redis: RedisClient, _ servers: [RedisClient], _ ports: [Int]) async throws -> Void
    ) async throws {
        try await withReservedPort { firstBus in
            try await withReservedPort { secondBus in
                let buses = [firstBus, secondBus]
                let configurations = buses.map { ["cluster-enabled yes", "cluster-port \($0)"] }
                try await TestRedis.run(configuration: configurations[0]) { first in
                    try await TestRedis.run(configuration: configurations[1]) { second in
                        try await withClient(of: first) { firstServer in
                            try await withClient(of: second) { secondServer in
                                let servers = [firstServer, secondServer]
                                _ = try await firstServer.send(command("CLUSTER", "ADDSLOTSRANGE", "0", "8191"))
                                _ = try await secondServer.send(command("CLUSTER", "ADDSLOTSRANGE", "8192", "16383"))
                                _ = try await firstServer.send(
                                    command("CLUSTER", "MEET", "127.0.0.1", "\(second.port)", "\(secondBus)"))
                                for server in servers {
                                    try await eventually {
                                        try await server.send(command("CLUSTER", "INFO"), as: String.self)
                                            .contains("cluster_state:ok")
                                    }
                                }
                                let url = "redis+cluster://127.0.0.1:\(first.port)"
                                let redis = try RedisClient(url: url, logger: Logger(label: "test"))
                                try await body(redis, servers, [first.port, second.port])
                                await redis.close()
                            }
                        }
                    }
                }
            }
        }
    }

    @Test func `Commands go to the servers of their keys`() async throws {
        try await withCluster { redis, servers, _ in
            for index in 0..<100 { try await redis.set("k\(index)", index) }
            for index in 0..<100 { #expect(try await redis.get("k\(index)", as: Int.self) == index) }
            for server in servers {
                let size = try await server.send(RedisCommand("DBSIZE"), as: Int.self)
                #expect(size > 20 && size < 80)
            }
            let error = await #expect(throws: AppError.self) { try await redis.mget(["k1", "k2"]) }
            #expect(error?.code == .invalidArgument && error?.message.contains("hash tag") == true)
            try await redis.mset([("{a}1", 1), ("{a}2", 2)])
            #expect(try await redis.mget(["{a}1", "{a}2"], as: Int.self) == [1, 2])
            let replies = try await redis.pipeline((0..<10).map { command("GET", key: "k\($0)") })
            #expect(replies == (0..<10).map { RedisValue("\($0)") })
            let results = try await redis.transaction([
                command("INCR", key: "{a}1"), command("INCR", key: "{a}2"),
            ])
            #expect(results == [.integer(2), .integer(3)])
            let script = RedisScript("return redis.call('GET', KEYS[1])")
            #expect(try await redis.run(script, keys: ["k7"], as: Int.self) == 7)
        }
    }

    @Test func `A slot that moves is followed: once while it moves, and for good afterwards`() async throws {
        try await withCluster { redis, servers, ports in
            // A key on the first server.
            let key = (0..<1000).map { "k\($0)" }.first { HashSlot.of($0) < 8192 } ?? ""
            let slot = "\(HashSlot.of(key))"
            try await redis.set(key, "old")
            var ids: [String] = []
            for server in servers { ids.append(try await server.send(command("CLUSTER", "MYID"), as: String.self)) }
            _ = try await servers[1].send(command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0]))
            _ = try await servers[0].send(command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1]))
            #expect(try await redis.get(key) == "old")
            _ = try await servers[0].send(command("DEL", key: key))
            // The key is not on the first server any more, which answers ASK.
            try await redis.set(key, "new")
            #expect(try await redis.get(key) == "new")
            #expect(try await redis.transaction([command("APPEND", key: key, "er")]) == [.integer(5)])
            _ = try await servers[1].send(command("CLUSTER", "SETSLOT", slot, "NODE", ids[1]))
            _ = try await servers[0].send(command("CLUSTER", "SETSLOT", slot, "NODE", ids[1]))
            // Now the first server answers MOVED.
            #expect(try await redis.get(key) == "newer")
            #expect(redis.core.cluster?.endpoint(of: HashSlot.of(key)) == .tcp(host: "127.0.0.1", port: ports[1]))
            #expect(try await redis.transaction([command("GET", key: key)]) == [RedisValue("newer")])
        }
    }

    @Test func `Sharded channels are subscribed to at their server`() async throws {
        try await withCluster { redis, _, _ in
            for index in 0..<4 {
                let messages = try await redis.subscribe(toSharded: "c\(index)")
                try await redis.publish("hello", toSharded: "c\(index)")
                var iterator = messages.makeAsyncIterator()
                #expect(try await iterator.next() == .message(channel: "c\(index)", ByteBuffer(string: "hello")))
            }
        }
    }

    @Test func `A cluster that cannot be reached is unavailable`() async throws {
        try await withReservedPort { port in
            let redis = try RedisClient(url: "redis+cluster://127.0.0.1:\(port)", logger: Logger(label: "test"))
            let error = await #expect(throws: AppError.self) { try await redis.get("a") }
            #expect(error?.code == .unavailable)
            await redis.close()
        }
    }

    @Test func `Sentinels name the primary, also after a failover`() async throws {
        // By default, a primary waits 5 seconds for further replicas before it sends its data.
        try await TestRedis.run(configuration: ["repl-diskless-sync-delay 0"]) { primary in
            try await TestRedis.run(configuration: ["replicaof 127.0.0.1 \(primary.port)"]) { replica in
                try await withClient(of: replica) { replicaClient in
                    try await eventually {
                        try await replicaClient.send(command("INFO", "replication"), as: String.self)
                            .contains("master_link_status:up")
                    }
                }
                let configuration = [
                    "sentinel monitor main 127.0.0.1 \(primary.port) 1", "sentinel down-after-milliseconds main 500",
                    "sentinel failover-timeout main 2000",
                ]
                let sentinel = try await TestRedis.start(configuration: configuration, as: .sentinel)
                defer { sentinel.stop() }
                let url = "redis+sentinel://127.0.0.1:1,127.0.0.1:\(sentinel.port)/main"
                var client = try RedisConfiguration(url: url)
                client.reconnect = RetryPolicy(baseDelay: .milliseconds(5), maximumDelay: .milliseconds(50))
                let redis = try RedisClient(client, logger: Logger(label: "test"))
                try await redis.set("a", "1")
                try await withClient(of: sentinel) { sentinelClient in
                    try await eventually {
                        try await sentinelClient.send(command("SENTINEL", "REPLICAS", "main"), as: [RedisValue].self)
                            .count == 1
                    }
                }
                primary.kill()
                try await eventually { try await redis.set("b", "2") }
                #expect(try await redis.get("b") == "2")
                try await withClient(of: replica) { replicaClient in
                    let value = try await replicaClient.get("b")
                    #expect(value == "2")
                }
                await redis.close()
            }
        }
    }

    @Test func `A primary that no sentinel knows is named in the log`() async throws {
        let sentinel = try await TestRedis.start(configuration: [], as: .sentinel)
        defer { sentinel.stop() }
        let lines = CapturingLogHandler.Lines()
        let logger = Logger(label: "test") { _ in CapturingLogHandler(lines: lines) }
        let redis = try RedisClient(url: "redis+sentinel://127.0.0.1:\(sentinel.port)/nobody", logger: logger)
        let error = await #expect(throws: AppError.self) { try await redis.get("a") }
        #expect(error?.code == .unavailable)
        #expect(lines.all.first?.contains("no sentinel names the primary \"nobody\"") == true)
        await redis.close()
    }

    @Test func `The reply to CLUSTER SLOTS is checked`() throws {
        func parse(_ first: Int64, _ last: Int64, _ host: RedisValue, _ port: Int64) throws -> [ClusterSlots.Range] {
            let server = RedisValue.array([host, .integer(port), RedisValue("id")])
            let reply = RedisValue.array([.array([.integer(first), .integer(last), server])])
            return try ClusterSlots.parse(reply, from: .tcp(host: "asked", port: 1))
        }
        #expect(try parse(0, 16_383, RedisValue("h"), 7).first?.endpoint == .tcp(host: "h", port: 7))
        #expect(try parse(0, 1, RedisValue(""), 7).first?.endpoint == .tcp(host: "asked", port: 7))
        #expect(try parse(0, 1, .null, 7).first?.endpoint == .tcp(host: "asked", port: 7))
        for (first, last, port) in [(-1, 5, 7), (5, 4, 7), (0, 16_384, 7), (0, 1, 0), (0, 1, 65_536)]
            as [(Int64, Int64, Int64)]
        {
            #expect(throws: RedisError.self) { try parse(first, last, RedisValue("h"), port) }
        }
        #expect(throws: RedisError.self) { try ClusterSlots.parse(.integer(1), from: .tcp(host: "h", port: 1)) }
    }
}
