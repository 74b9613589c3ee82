import ApusCore
import Testing

struct IPNetworkTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false), ("10.1.2.128/25", "10.1.2.127", false), ("10.1.2.128/25", "10.1.2.128", true),
        ("0.0.0.0/0", "255.1.1.1", true), ("0.0.0.0/0", "::1", false), ("2001:db8::/33", "2001:db8:7fff::1", true),
        ("2001:db8::/33", "2001:db8:8000::1", false), ("::/0", "2001:db8::1", true),
        ("127.0.0.0/8", "::ffff:127.0.0.1", true),
    ])
    func `A network contains the addresses that share its prefix`(
        network: String, address: String, isContained: Bool
    ) throws {
        #expect(try IPNetwork(network).contains(#require(IPAddress(address))) == isContained)
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "::/129", "a",
        "10.0.0.0/8/8",
        "10.0.0.0 /8",
    ])
    func `Text that is not a network is rejected`(text: String) {
        #expect(throws: AppError.self) { try IPNetwork(text) }
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("2001:DB8:0:0::1", "2001:db8::1"), ("::ffff:192.0.2.1", "192.0.2.1"),
    ])
    func `Addresses are written in canonical form`(text: String, expected: String) {
        #expect(IPAddress(text)?.description == expected)
    }

    @Test(arguments: ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::1%lo", "[::1]", ":::", "1.2.3.4\u{0}"])
    func `Text that is not an address is rejected`(text: String) {
        #expect(IPAddress(text) == nil)
    }
}
