import HTTPTypes
import NIOHPACK
import Testing

@testable import ApusServer

@Suite struct HTTP2RequestHeadTests {
    /// Returns the authority of a request, the status with which it is refused, or `malformed`.
    private func outcome(_ fields: [(String, String)]) -> String {
        var table = FieldTable()
        do {
            let head = try HTTP2RequestHead(HPACKHeaders(fields), limits: ServerLimits(), &table)
            return head.authority ?? "none"
        } catch {
            switch error {
            case .malformed: return "malformed"
            case .refused(_, let status): return "\(status.code)"
            }
        }
    }

    private func get(_ pseudo: [(String, String)], hosts: [String] = []) -> String {
        outcome([(":method", "GET"), (":path", "/")] + pseudo + hosts.map { ("host", $0) })
    }

    @Test func `An empty scheme, authority or host is malformed`() {
        #expect(get([(":scheme", "http"), (":authority", "a")]) == "a")
        #expect(get([(":scheme", ""), (":authority", "a")]) == "malformed")
        #expect(get([(":scheme", "http"), (":authority", "")]) == "malformed")
        #expect(get([(":scheme", "http"), (":authority", "")], hosts: ["a"]) == "malformed")
        #expect(get([(":scheme", "http")], hosts: [""]) == "malformed")
        #expect(outcome([(":method", "CONNECT"), (":authority", "")]) == "malformed")
        #expect(outcome([(":method", "CONNECT"), (":authority", "a:1")]) == "501")
    }

    @Test func `A host stands in for the authority, may not contradict it, and may not be repeated`() {
        let scheme = (":scheme", "http")
        #expect(get([scheme], hosts: ["a"]) == "a")
        #expect(get([scheme]) == "400")
        #expect(get([scheme], hosts: ["a", "a"]) == "malformed")
        #expect(get([scheme, (":authority", "a")], hosts: ["a", "a"]) == "malformed")
        #expect(get([scheme, (":authority", "a")], hosts: ["b"]) == "malformed")
        #expect(get([scheme, (":authority", "a")], hosts: ["a:80"]) == "a")
        #expect(get([scheme, (":authority", "a:80")], hosts: ["a"]) == "a:80")
        #expect(get([scheme, (":authority", "a")], hosts: ["a:443"]) == "malformed")
        #expect(get([(":scheme", "https"), (":authority", "a")], hosts: ["a:443"]) == "a")
        #expect(get([scheme, (":authority", "a")], hosts: [""]) == "malformed")
    }

    @Test(arguments: ["ftp", "1x", "http ", "httpss", "\u{212A}http"])
    func `A scheme other than http and https is refused`(scheme: String) {
        #expect(get([(":scheme", scheme), (":authority", "a")]) == "400")
    }

    @Test func `Schemes have no case`() { #expect(get([(":scheme", "HTTP"), (":authority", "a")]) == "a") }

    @Test func `Hosts are compared without regard to case`() {
        #expect(get([(":scheme", "http"), (":authority", "Example.org")], hosts: ["example.ORG"]) == "Example.org")
    }

    static let hosts = [
        ("a", true), ("a:", true), ("a:0", true), ("a:65535", true), ("127.0.0.1:8080", true), ("[::1]", true),
        ("[::ffff:1.2.3.4]:80", true), ("a_b.example-1.org.", true), ("%C3%A9.example", true), ("a!$&'()*+;=~", true),
        (":80", false), ("a:b", false), ("a:65536", false), ("a:99999999999999999999", false), ("a:+1", false),
        ("a:1:2", false), ("[::1", false), ("[]", false), ("[:]", false), ("[zz]", false), ("[::1]80", false),
        ("[::1]:x", false), ("::1", false), ("%zz", false), ("a%", false), ("a%4", false), ("u@a", false),
        ("a,b", false), ("a/b", false), ("a b", false), ("a?b", false), ("a#b", false), ("\u{E9}", false),
    ]

    @Test(arguments: hosts) func `A malformed host is refused`(host: String, isValid: Bool) {
        #expect(get([(":scheme", "http"), (":authority", host)]) == (isValid ? host : "400"))
        #expect(get([(":scheme", "http")], hosts: [host]) == (isValid ? host : "400"))
    }
}
