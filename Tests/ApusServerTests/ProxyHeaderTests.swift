import ApusCore
import NIOCore
import Testing

@testable import ApusServer

struct ProxyHeaderTests {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let v4: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 1, 0xDC, 0x04, 0x01, 0xBB]

    private func read(_ bytes: [UInt8]) -> (ProxyHeader.Outcome, rest: Int) {
        var buffer = ByteBuffer(bytes: bytes)
        let outcome = ProxyHeader.read(from: &buffer)
        return (outcome, buffer.readableBytes)
    }

    @Test(arguments: [
        ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1"),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "2001:db8::1"), ("PROXY UNKNOWN\r\n", nil),
        ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", nil),
    ])
    func `Version 1 yields the client's address, and nothing after the header is consumed`(
        line: String, client: String?
    ) throws {
        let (outcome, rest) = read(Array((line + "GET /").utf8))
        #expect(outcome == .client(client.flatMap { IPAddress($0) }))
        #expect(rest == 5)
        for length in 0..<line.utf8.count {
            #expect(read(Array(line.utf8.prefix(length))).0 == .incomplete, "cut off after \(length)")
        }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "PROXY TCP4\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", "PROXY TCP4 a b 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 1 443\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 1 443\r\n", "proxy TCP4 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY " + String(repeating: "a", count: 200), "PROXY TCP5 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.1 1 443\r\n", "PROXY TCP6 192.0.2.1 2001:db8::1 1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 1 \r\n",
    ])
    func `An invalid version 1 header is malformed`(text: String) {
        #expect(read(Array(text.utf8)).0 == .malformed)
    }

    @Test func `Version 2 yields the client's address, and nothing after the header is consumed`() {
        let header = Self.signature + [0x21, 0x11, 0, 15] + Self.v4 + [4, 0, 0]
        #expect(read(header + [1, 2]).0 == .client(IPAddress("192.0.2.1")))
        #expect(read(header + [1, 2]).rest == 2)
        for length in 0..<header.count { #expect(read(Array(header.prefix(length))).0 == .incomplete) }
        let six = Self.signature + [0x21, 0x21, 0, 36, 0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 32)
        #expect(read(six).0 == .client(IPAddress("2001:db8::")))
        #expect(
            read(Self.signature + [0x20, 0x00, 0, 0]).0 == .client(nil), "a connection of the load balancer itself")
        #expect(read(Self.signature + [0x21, 0x00, 0, 0]).0 == .client(nil), "an unknown family")
    }

    @Test(
        arguments: [
            [0x11, 0x11, 0, 12], [0x22, 0x11, 0, 12], [0x21, 0x11, 0, 11], [0x21, 0x21, 0, 12], [0x21, 0x41, 0, 12],
            [0x21, 0x11, 0xFF, 0xFF],
        ] as [[UInt8]])
    func `A version 2 header with a wrong length, version or family is malformed`(head: [UInt8]) {
        #expect(read(Self.signature + head + Self.v4).0 == .malformed)
    }
}
