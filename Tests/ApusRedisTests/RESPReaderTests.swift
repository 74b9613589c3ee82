import NIOCore
import Testing

@testable import ApusRedis

/// Reading of replies, however their bytes are split, and hostile bytes.
@Suite struct RESPReaderTests {
    /// Reads bytes in pieces, and returns the values and the failure, if any.
    private func read(
        _ pieces: [[UInt8]], _ limits: RESPLimits = RESPLimits()
    ) -> (values: [RedisValue], failure: RESPFailure?) {
        var reader = RESPReader(limits: limits)
        var values: [RedisValue] = []
        do throws(RESPFailure) {
            for piece in pieces {
                reader.append(ByteBuffer(bytes: piece))
                while let value = try reader.next() { values.append(value) }
            }
            return (values, nil)
        } catch {
            return (values, error)
        }
    }

    private func read(
        _ text: String, _ limits: RESPLimits = RESPLimits()
    ) -> (values: [RedisValue], failure: RESPFailure?) { read([Array(text.utf8)], limits) }

    /// Every type of value, each followed by its text.
    private static let samples: [(RedisValue, String)] = [
        (RedisValue("OK"), "+OK\r\n"), (RedisValue(""), "+\r\n"), (RedisValue("a\r\nb"), "$4\r\na\r\nb\r\n"),
        (RedisValue(""), "$0\r\n\r\n"), (.null, "$-1\r\n"), (.null, "*-1\r\n"), (.null, "_\r\n"),
        (.integer(42), ":42\r\n"), (.integer(.min), ":-9223372036854775808\r\n"),
        (.integer(.max), ":+9223372036854775807\r\n"),
        (.error(RedisError(code: "ERR", message: "no such key")), "-ERR no such key\r\n"),
        (.error(RedisError(code: "ERR", message: "a\r\nb")), "!8\r\nERR a\r\nb\r\n"),
        (.array([]), "*0\r\n"), (.array([.array([.integer(1)]), .null]), "*2\r\n*1\r\n:1\r\n_\r\n"),
        (.set([.integer(1), .integer(2)]), "~2\r\n:1\r\n:2\r\n"), (.set([]), "~0\r\n"), (.map([]), "%0\r\n"),
        (.map([.init(RedisValue("k"), .array([.boolean(true)]))]), "%1\r\n+k\r\n*1\r\n#t\r\n"),
        (.boolean(false), "#f\r\n"), (.double(1.5), ",1.5\r\n"), (.double(-0.25e-3), ",-0.25E-3\r\n"),
        (.double(.infinity), ",inf\r\n"), (.double(-.infinity), ",-inf\r\n"),
        (
            .bigNumber("-3492890328409238509324850943850943825024385"),
            "(-3492890328409238509324850943850943825024385\r\n"
        ),
        (.verbatim(format: "txt", ByteBuffer(string: "hi")), "=6\r\ntxt:hi\r\n"),
        (.push([RedisValue("message"), RedisValue("c")]), ">2\r\n+message\r\n$1\r\nc\r\n"),
        // Attributes are discarded, before a reply and inside one.
        (.integer(7), "|1\r\n+ttl\r\n:3\r\n:7\r\n"), (.array([.integer(7)]), "*1\r\n|1\r\n+a\r\n*1\r\n:1\r\n:7\r\n"),
        (.integer(8), "|0\r\n:8\r\n"),
    ]

    @Test func `Each type of value is read, whole and byte by byte`() {
        for (value, text) in Self.samples {
            #expect(read(text).values == [value], "\(text.debugDescription)")
            let bytes = read(Array(text.utf8).map { [$0] })
            #expect(bytes.values == [value] && bytes.failure == nil, "\(text.debugDescription)")
        }
    }

    @Test func `A double that is not a number is read`() throws {
        let value = try #require(read(",nan\r\n").values.first)
        guard case .double(let number) = value else { throw RedisError(code: "not a double", message: "") }
        #expect(number.isNaN)
    }

    @Test func `Replies are read however their bytes are cut`() {
        let text = Array(Self.samples.map(\.1).joined().utf8)
        let values = Self.samples.map(\.0)
        for index in text.indices {
            let (read, failure) = read([Array(text[..<index]), Array(text[index...])])
            #expect(read == values && failure == nil, "cut at \(index)")
            // What was cut off waits for more bytes.
            #expect(self.read([Array(text[..<index])]).failure == nil)
        }
    }

    @Test func `Replies are read in pieces of random sizes`() {
        var generator = SeededGenerator(state: 20)
        for _ in 0..<200 {
            let samples = (0..<40).map { _ in Self.samples.randomElement(using: &generator) ?? Self.samples[0] }
            var rest = Array(samples.map(\.1).joined().utf8)[...]
            var pieces: [[UInt8]] = []
            while !rest.isEmpty {
                let count = Int.random(in: 1...50, using: &generator)
                pieces.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let (values, failure) = read(pieces)
            #expect(values == samples.map(\.0) && failure == nil)
        }
    }

    @Test func `A changed byte never traps and never yields more values than there are lines`() {
        var generator = SeededGenerator(state: 5)
        let text = Array(Self.samples.map(\.1).joined().utf8)
        for _ in 0..<1000 {
            var bytes = text
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            let cut = Int.random(in: 0..<bytes.count, using: &generator)
            let whole = read([bytes])
            let halves = read([Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(whole.values.count <= bytes.count)
            // A failure may be found earlier in a cut line, but never changes the values before it.
            #expect(halves.values.map(\.kind) == whole.values.map(\.kind))
            #expect((halves.failure == nil) == (whole.failure == nil))
        }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "\r\n", "+OK\n", "+\n", ":\r\n", ":1x\r\n", ":9223372036854775808\r\n", ":--1\r\n",
        "$\r\n",
        "$-2\r\n", "$1\r\nab\r\n", "$2\r\na\r\n\r\n", "$99999999999999999999\r\n", "*1000000000000000000\r\n",
        "*-2\r\n",
        "#x\r\n", "#\r\n", ",\r\n", ",0x1p3\r\n", ",1,5\r\n", "(\r\n", "(1.5\r\n", "(-\r\n", "=2\r\nab\r\n",
        "=4\r\ntxt;\r\n", "_x\r\n", "%-1\r\n", "~-1\r\n", ">0\r\n", "*1\r\n>1\r\n+a\r\n", "!-1\r\n", "$+1\r\na\r\n",
    ]) func `A malformed reply is a failure`(text: String) {
        let (values, failure) = read(text)
        #expect(values.isEmpty && failure != nil)
        // The same byte by byte.
        #expect(read(Array(text.utf8).map { [$0] }).failure != nil)
    }

    @Test(arguments: ["$?\r\n", "*?\r\n", "%?\r\n", "~?\r\n", ";4\r\nabcd\r\n", ".\r\n"])
    func `A streamed reply is refused by name`(text: String) {
        #expect(read(text).failure?.description == "streamed replies are not supported")
    }

    @Test func `Another protocol is recognised by its first byte`() {
        #expect(read([[0x16]]).failure != nil)
        #expect(read([[UInt8(ascii: "H")]]).failure != nil)
    }

    @Test func `Each limit is kept exactly`() {
        let limits = RESPLimits(depth: 3, stringBytes: 10, replyBytes: 64, values: 5)
        #expect(read("*1\r\n*1\r\n*1\r\n:1\r\n", limits).failure == nil)
        #expect(read("*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", limits).failure != nil)
        #expect(read("$10\r\n0123456789\r\n", limits).failure == nil)
        #expect(read("$11\r\n", limits).failure != nil)
        #expect(read("*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n", limits).values.count == 1)
        #expect(read("*5\r\n", limits).failure != nil)
        #expect(read("%3\r\n", limits).failure != nil)
        #expect(read("*2\r\n*2\r\n:1\r\n:1\r\n*1\r\n:1\r\n", limits).failure != nil)
        let long = "*4\r\n" + String(repeating: "$9\r\n012345678\r\n", count: 4)
        #expect(long.utf8.count == 64 && read(long, limits).failure == nil)
        #expect(read("*4\r\n" + String(repeating: "$10\r\n0123456789\r\n", count: 4), limits).failure != nil)
        // The limits are those of a single reply.
        #expect(read(String(repeating: long, count: 3), limits).values.count == 3)
        let line = String(repeating: "a", count: RESPLimits.lineBytes)
        #expect(read("+" + line.dropLast(2) + "\r\n").failure == nil)
        #expect(read("+" + line).failure != nil)
    }

    @Test func `Deep nesting fails instead of overflowing the stack`() {
        #expect(read(String(repeating: "*1\r\n", count: 10_000)).failure != nil)
        #expect(read(String(repeating: "|1\r\n", count: 10_000)).failure != nil)
    }

    @Test func `A large string in many reads is whole`() {
        let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let text = Array("*2\r\n+first\r\n$\(content.count)\r\n".utf8) + content + Array("\r\n+next\r\n".utf8)
        var pieces: [[UInt8]] = []
        var index = 0
        while index < text.count {
            let end = min(index + 1021, text.count)
            pieces.append(Array(text[index..<end]))
            index = end
        }
        let values = read(pieces).values
        #expect(values == [.array([RedisValue("first"), .bytes(ByteBuffer(bytes: content))]), RedisValue("next")])
    }

    @Test func `A value keeps its content when later bytes are appended`() throws {
        var reader = RESPReader()
        reader.append(ByteBuffer(string: "+one\r\n+tw"))
        let first = try reader.next()
        #expect(try reader.next() == nil)
        reader.append(ByteBuffer(string: "o\r\n"))
        #expect(try reader.next() == RedisValue("two"))
        #expect(first == RedisValue("one"))
        #expect(reader.bufferedBytes == 0)
    }
}
