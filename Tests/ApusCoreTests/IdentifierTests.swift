import ApusCore
import FoundationEssentials
import Testing

private enum Thing {}
private typealias ID = Identifier<Thing>

@Suite struct IdentifierTests {
    @Test func `A new identifier is a version 7 UUID and survives a round trip through text`() throws {
        let id = ID()
        let text = id.description
        #expect(text.utf8.count == 36)
        #expect(UUID(uuidString: text) != nil)
        #expect(Array(text)[14] == "7")
        #expect("89ab".contains(Array(text)[19]))
        #expect(ID(text) == id)
        #expect(ID(text.uppercased()) == id)
    }

    @Test func `Identifiers of a process are increasing and unique across concurrent tasks`() async {
        let all = await withTaskGroup(of: [ID].self) { group in
            for _ in 0..<4 { group.addTask { (0..<5000).map { _ in ID() } } }
            return await group.reduce(into: [ID]()) { result, part in
                #expect(part == part.sorted())
                result += part
            }
        }
        #expect(Set(all).count == 20_000)
    }

    @Test func `Text that is not a UUID is rejected, whether truncated or altered at any byte`() {
        let text = ID().description
        for length in 0..<36 { #expect(ID(String(text.prefix(length))) == nil) }
        for index in text.indices {
            #expect(ID(text.replacingCharacter(at: index, with: "x")) == nil)
            #expect(ID(text.replacingCharacter(at: index, with: "é")) == nil)
        }
        #expect(ID(text + "0") == nil)
        #expect(ID("\(text)\n") == nil)
    }

    @Test func `An identifier is encoded as its text, and invalid text is a decoding error`() throws {
        let id = ID()
        let data = try JSONEncoder().encode([id])
        #expect(String(decoding: data, as: UTF8.self) == "[\"\(id)\"]")
        #expect(try JSONDecoder().decode([ID].self, from: data) == [id])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([ID].self, from: Data("[\"1\"]".utf8)) }
    }
}

extension String {
    fileprivate func replacingCharacter(at index: Index, with character: Character) -> String {
        var copy = self
        copy.replaceSubrange(index...index, with: [character])
        return copy
    }
}
