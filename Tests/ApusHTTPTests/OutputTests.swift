import ApusCore
import ApusHTTP
import HTTPTypes
import NIOCore
import Testing

@Suite struct OutputTests {
    private struct Item: Codable, Sendable, Equatable {
        let id: Int
    }

    private struct Listing: Codable, Equatable {
        let items: [Item]
        let next: String?
    }

    private func page(_ target: String) async throws -> Response {
        try await respond(.get, target) { routes in
            routes.get("items", Paging(by: Int.self, limit: 3, maximum: 5)) { page in
                let first = (page.after ?? 0) + 1
                let items = (first...max(first, 8)).filter { $0 <= 8 }.prefix(page.limit + 1).map(Item.init)
                return try Page(Array(items), of: page, by: \.id)
            }
        }
    }

    @Test func `A list can be read page by page by following its cursors or its links`() async throws {
        var ids: [[Int]] = []
        var target: String? = "/items?x=%20y&limit=3"
        while let next = target {
            let response = try await page(next)
            let listing = try JSONCoding.decode(Listing.self, from: ByteBuffer(string: text(response)))
            ids.append(listing.items.map(\.id))
            let link = response.headers[HTTPField.Name("Link")!]
            #expect((link == nil) == (listing.next == nil))
            target = link.map { String($0.dropFirst().prefix { $0 != ">" }) }
            if let target, let cursor = listing.next {
                #expect(target == "/items?x=%20y&limit=3&cursor=\(cursor)")
                #expect(link?.hasSuffix(">; rel=\"next\"") == true)
            }
        }
        #expect(ids == [[1, 2, 3], [4, 5, 6], [7, 8]])
    }

    @Test(arguments: [
        "limit=0", "limit=6", "limit=x", "limit=-1", "cursor=", "cursor=%00", "cursor=!!!", "cursor=WyJhIl0",
        "cursor=W10", "cursor=WzEsMl0",
    ])
    func `An invalid limit or cursor is answered with 400`(query: String) async throws {
        #expect(try await page("/items?\(query)").status == .badRequest)
    }

    @Test(arguments: [
        ("/items/a b", "/items/a%20b"), ("/items/über", "/items/%C3%BCber"), ("/items/a>b", "/items/a%3Eb"),
        ("/x\r\nSet-Cookie: a=b", "/x%0D%0ASet-Cookie:%20a=b"), ("/items/%20", "/items/%20"),
        ("/items/100%", "/items/100%25"), ("/items/%4", "/items/%254"), ("/items/%zz", "/items/%25zz"),
        ("/items/%%41", "/items/%25%41"), ("/\\evil.example", "/%5Cevil.example"),
        ("https://a.example/?q=1#top", "https://a.example/?q=1#top"),
    ])
    func `The locations of a created resource and of a redirect are percent-encoded`(
        location: String, expected: String
    ) async throws {
        let created = try await respond(.post, "/r") { $0.post("r") { Created("x", at: location) } }
        #expect(created.headers[.location] == expected)
        let redirect = try await respond(.get, "/r") { $0.get("r") { Redirect(to: location) } }
        #expect(redirect.headers[.location] == expected)
    }

    @Test(arguments: [
        ("/a>b?q=\"<ü>", "/a%3Eb?q=%22%3C%C3%BC%3E&cursor="), ("/a%2?x=%", "/a%252?x=%25&cursor="),
        ("//evil.example/a", "/.//evil.example/a?cursor="), ("/a#b", "/a%23b?cursor="),
    ])
    func `The link to the next page is a URL of this host`(target: String, expected: String) async throws {
        let page = try Page([1, 2], of: PageRequest<Int>(limit: 1)) { $0 }
        let response = try page.response(to: Request(method: .get, target: target))
        let link = try #require(response.headers[HTTPField.Name("Link")!])
        #expect(link.hasPrefix("<\(expected)"), "\(link)")
        #expect(link.hasSuffix(">; rel=\"next\"") && link.dropFirst().dropLast(13).utf8.allSatisfy { $0 != 0x3E })
    }

    @Test func `A redirect has its location, percent-encoded, and the status of its kind`() async throws {
        for (kind, status) in [(Redirect.Kind.seeOther, 303), (.temporary, 307), (.permanent, 308)] {
            let response = try await respond(.get, "/r") { $0.get("r") { Redirect(to: "/x?y=1", kind) } }
            #expect(response.status.code == status)
            #expect(response.headers[.location] == "/x?y=1")
        }
        let split = try await respond(.get, "/r") { $0.get("r") { Redirect(to: "/x\r\nSet-Cookie: a=b") } }
        #expect(split.headers[.location] == "/x%0D%0ASet-Cookie:%20a=b")
        let text = try await respond(.get, "/r") { $0.get("r") { Redirect(to: "/über?q=\"a b\"&x=%20") } }
        #expect(text.headers[.location] == "/%C3%BCber?q=%22a%20b%22&x=%20")
    }
}
