import Apus

struct Fortune: RowDecodable {
    let id: Int
    let message: String

    init(id: Int, message: String) {
        self.id = id
        self.message = message
    }

    init(row: Row) throws {
        id = try row.get(0)
        message = try row.get(1)
    }
}

/// The table `fortune`.
struct Fortunes {
    let database: any Database

    /// Returns a page with all fortunes and one more, in the order of their messages.
    func page() async throws -> FortunePage {
        var fortunes = try await database.query("SELECT id, message FROM fortune", as: Fortune.self)
        fortunes.append(Fortune(id: 0, message: "Additional fortune added at request time."))
        fortunes.sort { $0.message < $1.message }
        return FortunePage(fortunes: fortunes)
    }
}

/// Fortunes as an HTML table.
struct FortunePage: ResponseConvertible {
    let fortunes: [Fortune]

    private static let headers: HTTPFields = [.contentType: "text/html; charset=utf-8"]

    func response(to request: Request) -> Response {
        Response(status: .ok, headers: Self.headers, body: .text(html))
    }

    private var html: String {
        var html = "<!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>"
        html += "<tr><th>id</th><th>message</th></tr>"
        for fortune in fortunes {
            html += "<tr><td>\(fortune.id)</td><td>"
            html.append(escaping: fortune.message)
            html += "</td></tr>"
        }
        html += "</table></body></html>"
        return html
    }
}

extension String {
    /// Appends text whose characters have no meaning in HTML.
    fileprivate mutating func append(escaping text: String) {
        var rest = text[...]
        while let index = rest.utf8.firstIndex(where: { Self.entity(for: $0) != nil }) {
            append(contentsOf: rest[..<index])
            append(Self.entity(for: rest.utf8[index]) ?? "")
            rest = rest[rest.utf8.index(after: index)...]
        }
        append(contentsOf: rest)
    }

    private static func entity(for byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: "&"): "&amp;"
        case UInt8(ascii: "<"): "&lt;"
        case UInt8(ascii: ">"): "&gt;"
        case UInt8(ascii: "\""): "&quot;"
        case UInt8(ascii: "'"): "&#39;"
        default: nil
        }
    }
}
