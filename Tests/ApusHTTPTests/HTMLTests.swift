import ApusHTTP
import HTTPTypes
import Testing

struct HTMLTests {
    @Test func `What is interpolated is escaped, and markup is not`() {
        let name = "<script>alert(\"it's\")</script> & co"
        let html: HTML = "<p title=\"\(name)\">\(name)</p>"
        let escaped = "&lt;script&gt;alert(&quot;it&#39;s&quot;)&lt;/script&gt; &amp; co"
        #expect(html.text == "<p title=\"\(escaped)\">\(escaped)</p>")
    }

    @Test(arguments: [
        ("", ""), ("&", "&amp;"), ("a&", "a&amp;"), ("&a", "&amp;a"), ("&&", "&amp;&amp;"), ("&amp;", "&amp;amp;"),
        // A combining character does not hide the one before it.
        ("<\u{338}b", "&lt;\u{338}b"), ("\u{0}", "\u{0}"), ("𝄞é", "𝄞é"),
    ])
    func `Text is escaped byte by byte`(text: String, expected: String) {
        #expect(("\(text)" as HTML).text.utf8.elementsEqual(expected.utf8))
    }

    @Test func `HTML in HTML stays as it is, and pieces are put together`() {
        let pieces = [1, 2].map { number -> HTML in "<li>\(number)</li>" }
        var list: HTML = "<ul>\(pieces)</ul>"
        #expect(("<ul>\(pieces.prefix(1))</ul>" as HTML).text == "<ul><li>1</li></ul>")
        list += HTML(markup: "<hr>")
        #expect(("<body>\(list)</body>" as HTML).text == "<body><ul><li>1</li><li>2</li></ul><hr></body>")
    }

    @Test func `A handler returns HTML in UTF-8`() async throws {
        let response = try await respond(.get, "/page") { routes in
            routes.get("page") { () -> HTML in "<p>\("é<")</p>" }
        }
        #expect(response.status == .ok && response.headers[.contentType] == "text/html; charset=utf-8")
        #expect(text(response) == "<p>é&lt;</p>")
    }
}
