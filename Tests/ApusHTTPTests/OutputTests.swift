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
