import Testing

@testable import ApusCore

@Suite struct BytewiseTextTests {
    @Test func `Canonically equivalent strings are different exact strings`() {
        #expect("\u{E9}" == "e\u{301}")
        #expect(ExactString("\u{E9}") != ExactString("e\u{301}"))
        #expect(ExactString("\u{212A}") != ExactString("K"))
        #expect(Set([ExactString("\u{E9}"), ExactString("e\u{301}"), ExactString("\u{E9}")]).count == 2)
        #expect(!["K"].containsExactly("\u{212A}"))
    }

    @Test func `A combining mark after a delimiter does not hide it`() throws {
        #expect("a,\u{301}b".split(at: ",") == ["a", "\u{301}b"])
        #expect(",a,,b,".split(at: ",", omittingEmpty: false) == ["", "a", "", "b", ""])
        let (name, value) = try #require("a=\u{301}b=c".cut(at: "="))
        #expect(name == "a" && value.isExactly("\u{301}b=c"))
        #expect("a".cut(at: "=") == nil)
        #expect("W/\u{301}x".starts(withBytesOf: "W/"))
        #expect("x password\u{301}".contains(bytesOf: "password"))
        #expect("aab".contains(bytesOf: "ab") && "ab".contains(bytesOf: "") && !"aa".contains(bytesOf: "aaa"))
        #expect("x\u{301}\"".ends(withBytesOf: "\""))
        #expect("<\u{301}>".replacing(["<": "&lt;", ">": "&gt;"]).isExactly("&lt;\u{301}&gt;"))
        #expect(" \t a b\t ".trimmed == "a b")
        #expect(" \u{301}a".trimmed.isExactly("\u{301}a"))
    }
}
