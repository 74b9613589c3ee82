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

    /// Returns a page with a table of all fortunes and one more, in the order of their messages.
    func page() async throws -> HTML {
        var fortunes = try await database.query("SELECT id, message FROM fortune", as: Fortune.self)
        fortunes.append(Fortune(id: 0, message: "Additional fortune added at request time."))
        fortunes.sort { $0.message < $1.message }
        let rows = fortunes.map { fortune -> HTML in
            "<tr><td>\(fortune.id)</td><td>\(fortune.message)</td></tr>"
        }
        return """
            <!DOCTYPE html><html><head><title>Fortunes</title></head><body><table>\
            <tr><th>id</th><th>message</th></tr>\(rows)</table></body></html>
            """
    }
}
