import ApusCore
import ApusTesting
import Logging
import Testing

@testable import ApusRedis

/// Commands that would give the replies of one task to another.
@Suite struct CommandPlacementTests {
    private func parse(_ text: String) -> RedisCommand {
        let words = text.split(separator: " ").map(String.init)
        var command = RedisCommand(named: words[0])
        for word in words.dropFirst() { command.append(word) }
        return command
    }

    @Test(arguments: [
        "SUBSCRIBE a", "psubscribe a*", "SSUBSCRIBE a", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "MULTI", "EXEC",
        "DISCARD", "WATCH a", "UNWATCH", "SELECT 1", "Auth a b", "HELLO 2", "MONITOR", "SYNC", "PSYNC ? -1",
        "REPLCONF ACK 0", "RESET", "QUIT", "ASKING", "READONLY", "READWRITE", "CLIENT REPLY OFF", "client reply skip",
    ]) func `A command that changes its connection is refused everywhere`(text: String) {
        let command = parse(text)
        for check in [command.requireShareable, command.requireOrdinary] {
            let error = #expect(throws: AppError.self) { try check() }
            #expect(error?.code == .invalidArgument && error?.message.hasPrefix(command.name) == true)
        }
    }

    @Test(arguments: [
        "BLPOP a 0", "brpop a 0", "BRPOPLPUSH a b 0", "BLMOVE a b LEFT LEFT 0", "BLMPOP 0 1 a LEFT", "BZPOPMIN a 0",
        "BZPOPMAX a 0", "BZMPOP 0 1 a MIN", "WAIT 1 0", "WAITAOF 1 1 0", "XREAD COUNT 1 BLOCK 0 STREAMS a 0",
        "xreadgroup group g c block 0 streams a >",
    ]) func `A command that blocks is refused on a shared connection alone`(text: String) throws {
        let error = #expect(throws: AppError.self) { try parse(text).requireShareable() }
        #expect(error?.code == .invalidArgument && error?.message.contains("blocking") == true)
        try parse(text).requireOrdinary()
    }

    @Test(arguments: [
        "GET a", "SET a b", "XREAD STREAMS block 0", "XREADGROUP GROUP BLOCK BLOCK STREAMS a >", "CLIENT LIST",
        "CLIENT",
        "SELECTED", "EVAL x 0", "SADD a b", "BITPOS a 1", "é", "{", "X", "PING",
    ]) func `Other commands are not`(text: String) throws {
        try parse(text).requireShareable()
        try parse(text).requireOrdinary()
    }

    @Test func `The words of a command are found again`() {
        var command = RedisCommand(named: String(repeating: "N", count: 123))
        command.append("a\r\n$")
        command.append("")
        #expect(command.name == String(repeating: "N", count: 123))
        #expect(command.texts == [command.name, "a\r\n$", ""])
    }

    @Test func `A client refuses before it sends anything`() async throws {
        try await withReservedPort { port in
            let redis = try RedisClient(url: "redis://127.0.0.1:\(port)", logger: Logger(label: "test"))
            let subscribe = parse("SUBSCRIBE a")
            let attempts: [() async throws -> Void] = [
                { _ = try await redis.send(subscribe) }, { _ = try await redis.pipeline([subscribe]) },
                { _ = try await redis.transaction([subscribe]) }, { _ = try await redis.blocking(subscribe) },
            ]
            for attempt in attempts {
                let error = await #expect(throws: AppError.self) { try await attempt() }
                #expect(error?.code == .invalidArgument)
            }
            await redis.close()
        }
    }
}
