import ApusJSON
import FoundationEssentials
import Testing

@Suite("JSON syntax")
struct SyntaxTests {
    @Test("An error states the line, the column, the JSON Pointer and what was expected")
    func position() throws {
        let text = "{\"a/b\": [1, {\"c\": 1}, {\n  \"d\": nope}]}"
        let error = #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Value.self, from: text.utf8) }
        let syntax = try #require(syntaxError(error))
        #expect(syntax.line == 2)
        #expect(syntax.column == 9)
        #expect(syntax.path == "/a~1b/2/d")
        #expect(syntax.description == "Expected null but found \"o\". (line 2, column 9, at /a~1b/2/d)")
    }

    @Test("A document truncated at any byte is rejected and not read past its end")
    func truncation() throws {
        let text = Array(#"{"a":[1,-2.5e+3,"x\n\u00e9\ud83d\ude00",true,false,null,{"b":{}}],"c":"é"}"#.utf8)
        for length in 0..<text.count {
            #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Value.self, from: text.prefix(length)) }
        }
        #expect(throws: Never.self) { try JSON.Decoder().decode(Value.self, from: text) }
    }

    @Test("A document with any byte changed is accepted or rejected, as by Foundation")
    func mutation() async throws {
        let text = Array(#"{"a":[1,-2.5e3,"x\nA",true,null,{"b":{}}],"c":"d"}"#.utf8)
        for index in text.indices {
            await Task.yield()
            for byte in "\"\\{}[]:,0-.eE tn/u\u{1}".utf8 {
                var changed = text
                changed[index] = byte
                let ours = try? JSON.Decoder().decode(Value.self, from: changed)
                let theirs = try? JSONDecoder().decode(Value.self, from: Data(changed))
                // Foundation accepts trailing commas.
                let hasTrailingComma = String(decoding: changed, as: UTF8.self).contains(/,\s*[\]}]/)
                if !hasTrailingComma { #expect(ours == theirs, "\(String(decoding: changed, as: UTF8.self))") }
            }
        }
    }

    @Test("100,000 levels of nesting are rejected without a stack overflow, and the limit is exact")
    func nesting() throws {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = String(repeating: open, count: 100_000)
            let error = #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Value.self, from: deep.utf8) }
            #expect(syntaxError(error)?.reason == "Nesting exceeds the limit of 512 levels.")
            var decoder = JSON.Decoder()
            decoder.limits.depth = 10
            func nested(_ depth: Int) -> String {
                String(repeating: open, count: depth - 1) + "[]" + String(repeating: close, count: depth - 1)
            }
            #expect(throws: Never.self) { try decoder.decode(Value.self, from: nested(10).utf8) }
            #expect(throws: DecodingError.self) { try decoder.decode(Value.self, from: nested(11).utf8) }
        }
    }

    @Test("A document over the size limit is rejected")
    func size() throws {
        var decoder = JSON.Decoder()
        decoder.limits.size = 4
        #expect(try decoder.decode([Int].self, from: "[12]".utf8) == [12])
        #expect(throws: DecodingError.self) { try decoder.decode([Int].self, from: "[123]".utf8) }
    }
}
