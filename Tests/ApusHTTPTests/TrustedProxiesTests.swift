import ApusCore
import ApusHTTP
import HTTPTypes
import Testing

@Suite struct TrustedProxiesTests {
    private func resolve(
        _ headers: RequestHeaders, from peer: String? = "10.0.0.1", fields: TrustedProxies.Fields = .xForwarded
    ) async throws -> String {
        let middleware = TrustedProxies(
            [try IPNetwork("10.0.0.0/8"), try IPNetwork("fd00::/8")], fields: fields, trustsHost: true)
        let request = Request(method: .get, target: "/", authority: "inner", headers: headers, remoteAddress: peer)
        let response = await middleware.handle(request) { request in
            .text("\(request.remoteAddress ?? "none") \(request.isSecure) \(request.authority ?? "")")
        }
        return text(response)
    }

    private let list = HTTPField.Name("X-Forwarded-For")!
    private let scheme = HTTPField.Name("X-Forwarded-Proto")!
    private let host = HTTPField.Name("X-Forwarded-Host")!
    private let standard = HTTPField.Name("Forwarded")!

    @Test func `The list of addresses is read from its end, as far as it was written by trusted proxies`() async throws
    {
        #expect(try await resolve([list: "192.0.2.7"]) == "192.0.2.7 false inner")
        #expect(try await resolve([list: "1.1.1.1, 192.0.2.7, 10.9.9.9"]) == "192.0.2.7 false inner")
        #expect(try await resolve([list: "10.1.1.1, 10.2.2.2"]) == "10.1.1.1 false inner")
        #expect(try await resolve([list: "2001:db8::7, [fd00::1]:4711, 10.0.0.9:80"]) == "2001:db8::7 false inner")
        #expect(try await resolve([list: "1.1.1.1, unknown"]) == "10.0.0.1 false inner")
        #expect(try await resolve([list: "1.1.1.1, 192.0.2.7 , ,"]) == "192.0.2.7 false inner")
        #expect(try await resolve([list: "\", 192.0.2.7"]) == "192.0.2.7 false inner")
        #expect(try await resolve([list: "[\u{301}2001:db8::7]"]) == "10.0.0.1 false inner")
    }

    @Test func `The fields of untrusted peers are ignored`() async throws {
        #expect(try await resolve([list: "1.1.1.1", scheme: "https"], from: "192.0.2.1") == "192.0.2.1 false inner")
        #expect(try await resolve([list: "1.1.1.1"], from: "nonsense") == "nonsense false inner")
        #expect(try await resolve([list: "1.1.1.1"], from: nil) == "1.1.1.1 false inner")
    }

    @Test func `The scheme and the host are those of the client's hop`() async throws {
        #expect(
            try await resolve([list: "192.0.2.7", scheme: "https", host: "a.example:8443"])
                == "192.0.2.7 true a.example:8443")
        #expect(
            try await resolve([
                list: "6.6.6.6, 192.0.2.7, 10.1.1.1", scheme: "http, https, http", host: "evil, real, hop",
            ])
                == "192.0.2.7 true real")
        #expect(try await resolve([scheme: "http, https", host: "a.example"]) == "10.0.0.1 true a.example")
        #expect(try await resolve([list: "192.0.2.7", host: "a/../b"]) == "192.0.2.7 false inner")
        #expect(try await resolve([list: "192.0.2.7", host: "a\u{e9}"]) == "192.0.2.7 false inner")
    }

    @Test func `The Forwarded field provides all values, and only the configured fields are read`() async throws {
        func resolve(_ value: String) async throws -> String {
            try await self.resolve([standard: value], fields: .forwarded)
        }
        #expect(try await resolve("for=192.0.2.7;proto=https;host=a.example") == "192.0.2.7 true a.example")
        #expect(try await resolve("For=\"[2001:db8::7]:4711\";by=10.0.0.1") == "2001:db8::7 false inner")
        #expect(
            try await resolve("for=6.6.6.6, for=192.0.2.7;proto=https, for=10.1.1.1;host=hop") == "192.0.2.7 true hop")
        #expect(try await resolve("for=\"6.6.6.6, 1.1.1.1\", for=_hidden") == "10.0.0.1 false inner")
        #expect(try await resolve(#"for="\", 1.1.1.1", for=192.0.2.7"#) == "192.0.2.7 false inner")
        #expect(try await resolve("for=unknown;proto=https") == "10.0.0.1 true inner")
        #expect(try await resolve("for=\"192.0.2.7") == "10.0.0.1 false inner")
        #expect(try await self.resolve([list: "192.0.2.7"], fields: .forwarded) == "10.0.0.1 false inner")
        #expect(try await self.resolve([standard: "for=192.0.2.7"]) == "10.0.0.1 false inner")
    }

    @Test func `A list of a hundred thousand hops is processed efficiently`() async throws {
        let hops = String(repeating: "10.1.1.1,", count: 100_000)
        #expect(try await resolve([list: "192.0.2.7," + hops]) == "10.1.1.1 false inner")
        #expect(
            try await resolve([standard: String(repeating: "\"", count: 100_001)], fields: .forwarded)
                == "10.0.0.1 false inner")
    }

    @Test func `A forwarded host is ignored unless it is trusted`() async throws {
        for fields in TrustedProxies.Fields.allCases {
            let middleware = TrustedProxies([try IPNetwork("10.0.0.0/8")], fields: fields)
            let request = Request(
                method: .get, target: "/", authority: "inner",
                headers: [list: "192.0.2.7", host: "evil.example", standard: "for=192.0.2.7;host=evil.example"],
                remoteAddress: "10.0.0.1")
            let response = await middleware.handle(request) { request in
                .text("\(request.remoteAddress ?? "none") \(request.authority ?? "")")
            }
            #expect(text(response) == "192.0.2.7 inner")
        }
    }
}
