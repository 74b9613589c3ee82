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
        #expect(get([scheme, (":authority", "a")], hosts: ["a:80"]) == "malformed")
        #expect(get([scheme, (":authority", "a")], hosts: [""]) == "malformed")
    }

    @Test func `Hosts are compared without regard to case`() {
        #expect(get([(":scheme", "http"), (":authority", "Example.org")], hosts: ["example.ORG"]) == "Example.org")
    }
}
