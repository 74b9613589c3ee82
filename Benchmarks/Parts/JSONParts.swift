import ApusJSON
import FoundationEssentials

/// Encoding and decoding a 1.4 kB page of 20 items, compared with Foundation.
enum JSONParts {
    struct Page: Codable {
        struct Item: Codable {
            let id: Int
            let name: String
            let price: Double
            let tags: [String]
            let active: Bool
        }

        let items: [Item]
        let total: Int
    }

    static func all() throws -> [Part] {
        let page = Page(
            items: (0..<20).map {
                .init(id: $0, name: "item \($0)", price: 1.5 * Double($0), tags: ["a", "bb"], active: true)
            }, total: 20)
        let bytes = try JSON.Encoder().encode(page)
        let data = Data(bytes)
        return [
            Part(name: "JSON page encode") { try JSON.Encoder().withEncoded(page) { use($0.count) } },
            Part(name: "JSON page encode, Foundation", repetitions: 2000) { use(try JSONEncoder().encode(page).count) },
            Part(name: "JSON page decode") { use(try JSON.Decoder().decode(Page.self, from: bytes).total) },
            Part(name: "JSON page decode, Foundation", repetitions: 2000) {
                use(try JSONDecoder().decode(Page.self, from: data).total)
            },
        ]
    }
}
