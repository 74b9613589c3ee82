import ApusJSON
import FoundationEssentials
import Testing

@Suite("JSON syntax")
struct SyntaxTests {
    @Test(
        "what RFC 8259 allows is accepted",
        arguments: [
            "null", "true", "false", "0", "-0", "1", "-1", "10", "1.0", "1e1", "1E+1", "1e-1", "-1.25e+10", "\"\"",
            "\"a\"",
            "[]", "{}", "[ ]", "{ }", " [\t1 ,\r\n2 ] ", "{\"a\" : 1 , \"b\":[]}", "[[],[[]],{}]",
            "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
            "\"\\u0000\"", "\"\\u00e9\\uD83D\\uDE00\"", "\"\u{7f}\u{80}\u{2028}\u{10ffff}\"", "{\"\":{\"\":[]}}",
            "\u{feff}[1]",
            "123456789012345678901234567890", "\"\\uDBFF\\uDFFF\"",
        ])
    func accepted(text: String) throws {
        let value = try JSON.Decoder().decode(Value.self, from: text.utf8)
        #expect(try value == JSONDecoder().decode(Value.self, from: Data(text.utf8)))
    }

    @Test(
        "what RFC 8259 forbids is refused, at the place where it goes wrong",
        arguments: [
            ("", 0), (" ", 1), ("[", 1), ("]", 0), ("[1", 2), ("[1,", 3), ("[1,]", 3), ("[,1]", 1), ("[1 2]", 3),
            ("[1}", 2), ("{", 1),
            ("{}}", 2), ("{1:2}", 1), ("{\"a\"}", 4), ("{\"a\":}", 5), ("{\"a\":1,}", 7), ("{\"a\":1 \"b\":2}", 7),
            ("{a:1}", 1),
            ("{'a':1}", 1), ("{\"a\" 1}", 5), ("{\"a\"::1}", 5), ("nul", 3), ("nulL", 3), ("True", 0), ("truee", 4),
            ("NaN", 0),
            ("Infinity", 0), ("-Infinity", 1), ("01", 0), ("-01", 1), ("+1", 0), (".1", 0), ("1.", 2), ("1.e1", 2),
            ("1e", 2), ("1e+", 3),
            ("-", 1), ("0x1", 1), ("1 2", 2), ("1,", 1), ("\"", 1), ("\"a", 2), ("\"\\", 1), ("\"\\x\"", 1),
            ("\"\\u12\"", 1), ("\"\\u12g4\"", 1),
            ("\"\\ud800\"", 7), ("\"\\ud800\\u0041\"", 13), ("\"\\udc00\"", 7), ("\"\n\"", 1), ("\"\t\"", 1),
            ("\"\u{0}\"", 1), ("'a'", 0),
            ("/**/1", 0), ("1//", 1), ("[1]\u{0}", 3), ("\u{a0}1", 0), ("\u{c}1", 0), ("{\"a\":1", 6), ("[\"a", 3),
            ("{\"a\":[{", 7),
        ])
    func refused(text: String, offset: Int) throws {
        let error = #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Value.self, from: text.utf8) }
        #expect(syntaxError(error)?.offset == offset)
    }

    @Test(
        "text that is not UTF-8 is refused where it begins to be none",
        arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82]] as [[UInt8]])
    func invalidUTF8(bytes: [UInt8]) throws {
        let text = Array("[\"ab".utf8) + bytes + Array("\"]".utf8)
        let error = #expect(throws: DecodingError.self) { try JSON.Decoder().decode([String].self, from: text) }
        #expect(syntaxError(error)?.offset == 4)
    }

    @Test("an error says line, column, pointer and what would be right")
    func place() throws {
        let text = "{\"a/b\": [1, {\"c\": 1}, {\n  \"d\": nope}]}"
        let error = #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Value.self, from: text.utf8) }
        let syntax = try #require(syntaxError(error))
        #expect(syntax.line == 2)
        #expect(syntax.column == 9)
        #expect(syntax.path == "/a~1b/2/d")
        #expect(syntax.description == "Found \"o\" where null should be. At line 2, column 9, in /a~1b/2/d.")
    }

    @Test("a document cut at any byte is refused, and never read past its end")
    func truncation() throws {
        let text = Array(#"{"a":[1,-2.5e+3,"x\n\u00e9\ud83d\ude00",true,false,null,{"b":{}}],"c":"é"}"#.utf8)
        for length in 0..<text.count {
            #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Value.self, from: text.prefix(length)) }
        }
        #expect(throws: Never.self) { try JSON.Decoder().decode(Value.self, from: text) }
    }

    @Test("a document changed at any byte is read or refused, as by Foundation")
    func mutation() throws {
        let text = Array(#"{"a":[1,-2.5e3,"x\nA",true,null,{"b":{}}],"c":"d"}"#.utf8)
        for index in text.indices {
            for byte in "\"\\{}[]:,0-.eE tn/u\u{1}".utf8 {
                var changed = text
                changed[index] = byte
                let ours = try? JSON.Decoder().decode(Value.self, from: changed)
                let theirs = try? JSONDecoder().decode(Value.self, from: Data(changed))
                // Foundation lets a comma before a closing bracket pass.
                let hasLooseComma = String(decoding: changed, as: UTF8.self).contains(/,\s*[\]}]/)
                if !hasLooseComma { #expect(ours == theirs, "\(String(decoding: changed, as: UTF8.self))") }
            }
        }
    }

    @Test("nesting of 100,000 is refused without overflow, and the limit is exact")
    func nesting() throws {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = String(repeating: open, count: 100_000)
            let error = #expect(throws: DecodingError.self) { try JSON.Decoder().decode(Value.self, from: deep.utf8) }
            #expect(syntaxError(error)?.reason == "Nested deeper than 512 levels.")
            var decoder = JSON.Decoder()
            decoder.limits.depth = 10
            func nested(_ depth: Int) -> String {
                String(repeating: open, count: depth - 1) + "[]" + String(repeating: close, count: depth - 1)
            }
            #expect(throws: Never.self) { try decoder.decode(Value.self, from: nested(10).utf8) }
            #expect(throws: DecodingError.self) { try decoder.decode(Value.self, from: nested(11).utf8) }
        }
    }

    @Test("a document over the size limit is refused")
    func size() throws {
        var decoder = JSON.Decoder()
        decoder.limits.size = 4
        #expect(try decoder.decode([Int].self, from: "[12]".utf8) == [12])
        #expect(throws: DecodingError.self) { try decoder.decode([Int].self, from: "[123]".utf8) }
    }
}
