import NIOCore
import Testing

@testable import ApusRedis

/// Encoding of commands, and the hash slots of their keys.
@Suite struct RedisCommandTests {
    private func text(_ command: RedisCommand) -> String {
        var output = ByteBuffer()
        command.write(to: &output)
        return String(buffer: output)
    }

    @Test func `Arguments are sent with their length`() {
        var command = RedisCommand("SET")
        command.append(key: "k\r\né")
        command.append([0, 13, 10])
        command.append(Int.min)
        command.append(0)
        command.append(1.5)
        command.append(ByteBuffer())
        #expect(
            text(command)
                == "*7\r\n$3\r\nSET\r\n$5\r\nk\r\né\r\n$3\r\n\0\r\n\r\n$20\r\n-9223372036854775808\r\n$1\r\n0\r\n"
                + "$3\r\n1.5\r\n$0\r\n\r\n")
        #expect(command.name == "SET")
    }

    @Test(arguments: [1, 9, 10, 99, 100, 1000, 123_456]) func `Lengths of all sizes are written`(length: Int) {
        var command = RedisCommand("X")
        let argument = String(repeating: "a", count: length)
        command.append(argument)
        #expect(text(command) == "*2\r\n$1\r\nX\r\n$\(length)\r\n\(argument)\r\n")
    }

    @Test func `Many arguments are counted`() {
        var command = RedisCommand("DEL")
        command.append(keys: (1...1000).map(String.init))
        #expect(text(command).hasPrefix("*1001\r\n$3\r\nDEL\r\n$1\r\n1\r\n"))
    }

    @Test func `A command is read back as an array of its words`() throws {
        var command = RedisCommand("MSET")
        for index in 0..<50 { command.append(String(repeating: "\r\n$*", count: index)) }
        var output = ByteBuffer()
        command.write(to: &output)
        var reader = RESPReader()
        reader.append(output)
        let words = (0..<50).map { RedisValue(String(repeating: "\r\n$*", count: $0)) }
        #expect(try reader.next() == .array([RedisValue("MSET")] + words))
        #expect(reader.bufferedBytes == 0)
    }

    @Test func `Infinite numbers are written as Redis reads them`() {
        var command = RedisCommand("ZADD")
        command.append(Double.infinity)
        command.append(-Double.infinity)
        #expect(text(command) == "*3\r\n$4\r\nZADD\r\n$4\r\n+inf\r\n$4\r\n-inf\r\n")
    }

    @Test func `Hash slots are those of the cluster specification`() {
        #expect(HashSlot.of("123456789") == 0x31C3)
        #expect(HashSlot.of("{user1000}.following") == HashSlot.of("{user1000}.followers"))
        #expect(HashSlot.of("{user1000}.following") == HashSlot.of("user1000"))
        // An empty tag is no tag; the tag ends at the first closing brace.
        #expect(HashSlot.of("foo{}{bar}") != HashSlot.of("bar"))
        #expect(HashSlot.of("foo{{bar}}zap") == HashSlot.of("{bar"))
        #expect(HashSlot.of("foo{bar}{zap}") == HashSlot.of("bar"))
        #expect(HashSlot.of("") == 0)
    }

    @Test func `Slots are those of the keys alone`() {
        var command = RedisCommand("MGET")
        #expect(command.slots.isEmpty)
        command.append(keys: ["{a}1", "{a}2"])
        command.append("b")
        #expect(command.slots == [HashSlot.of("a")])
        command.append(key: "b")
        #expect(command.slots == [HashSlot.of("a"), HashSlot.of("b")])
    }
}
