import NIOCore
import Testing

@testable import ApusServer

@Suite struct ClientHelloTests {
    private static func prefixed16(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xFF)] + bytes
    }

    private static func list(_ names: [String]) -> [UInt8] {
        prefixed16(names.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) })
    }

    /// Returns a ClientHello with a session, two cipher suites and these extensions.
    private static func message(_ extensions: [(type: UInt8, value: [UInt8])]) -> [UInt8] {
        var body: [UInt8] = [3, 3] + Array(repeating: 7, count: 32)
        body += [4, 1, 2, 3, 4] + prefixed16([0x13, 1, 0x13, 2]) + [1, 0]
        body += prefixed16(extensions.flatMap { [0, $0.type] + prefixed16($0.value) })
        return [1, 0] + prefixed16(body)
    }

    private static func records(_ message: [UInt8], size: Int = 16_384) -> [UInt8] {
        stride(from: 0, to: message.count, by: size).flatMap { start in
            [22, 3, 1] + prefixed16(Array(message[start..<min(start + size, message.count)]))
        }
    }

    private static func read(_ bytes: some Sequence<UInt8>) -> ClientHello.Outcome {
        ClientHello.read(ByteBuffer(bytes: bytes))
    }

    private static let names = ["h2", "http/1.1"]
    private static let hello = message([(0, [0, 0]), (16, list(names)), (43, [1])])
    private static var offer: ClientHello.Outcome { .offer(names.map { Array($0.utf8) }) }

    @Test func `The protocols that a client offers are read, whatever follows the message`() {
        #expect(Self.read(Self.records(Self.hello)) == Self.offer)
        #expect(Self.read(Self.records(Self.hello) + [1, 2, 3]) == Self.offer)
        #expect(Self.read(Self.records(Self.message([(16, Self.list([]))]))) == .offer([]))
    }

    @Test func `A client without the extension, or without any, offers nothing`() {
        #expect(Self.read(Self.records(Self.message([(0, [0, 0])]))) == .offer(nil))
        #expect(Self.read(Self.records(Self.message([]))) == .offer(nil))
        // TLS 1.2 allows the message to end before the extensions.
        var body: [UInt8] = [3, 3] + Array(repeating: 7, count: 32)
        body += [0] + Self.prefixed16([0x13, 1]) + [1, 0]
        #expect(Self.read(Self.records([1, 0] + Self.prefixed16(body))) == .offer(nil))
    }

    @Test func `A message that is truncated anywhere is incomplete, in one record or several`() {
        for size in [16_384, 20] {
            let bytes = Self.records(Self.hello, size: size)
            for count in 0..<bytes.count { #expect(Self.read(bytes.prefix(count)) == .incomplete, "\(count) bytes") }
            #expect(Self.read(bytes) == Self.offer)
        }
    }

    @Test func `More records than any client needs, and empty ones, are unreadable`() {
        #expect(Self.read(Self.records(Self.hello, size: 5)) == .unreadable)
        #expect(Self.read([22, 3, 1, 0, 0]) == .unreadable)
        #expect(Self.read([22, 3, 1, 0x40, 1]) == .unreadable)
    }

    @Test func `Anything else is unreadable, without waiting for more`() {
        #expect(Self.read(Array("GET / HTTP/1.1".utf8)) == .unreadable)
        #expect(Self.read([21, 3, 1, 0, 2, 1, 0]) == .unreadable)
        #expect(Self.read([22, 3, 1, 0, 4, 2, 0, 0, 0]) == .unreadable)
        #expect(Self.read([22, 3, 1, 0, 4, 1, 0, 0x40, 1]) == .unreadable, "more than 16 KiB")
    }

    @Test func `Lengths that exceed what contains them are unreadable`() {
        let beyond: [[UInt8]] = [[0, 9, 2, 0x68, 0x32], [0, 3, 9, 0x68, 0x32], [0]]
        for value in beyond { #expect(Self.read(Self.records(Self.message([(16, value)]))) == .unreadable) }
        for count in 0..<Self.hello.count - 4 {
            // The message says that it is shorter, so it ends within one of its parts.
            var short = Array(Self.hello.prefix(4 + count))
            (short[2], short[3]) = (UInt8(count >> 8), UInt8(count & 0xFF))
            let outcome = Self.read(Self.records(short))
            #expect(outcome == .unreadable || outcome == .offer(nil), "\(count) bytes")
        }
    }
}
