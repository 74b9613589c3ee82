import ApusCore
import FoundationEssentials
import Testing

private enum Thing {}
private typealias ID = Identifier<Thing>

@Suite struct IdentifierTests {
    @Test func `A new identifier is a UUID of version 7 that reads back as itself`() throws {
        let id = ID()
        let text = id.description
        #expect(text.utf8.count == 36)
        #expect(UUID(uuidString: text) != nil)
        #expect(Array(text)[14] == "7")
        #expect("89ab".contains(Array(text)[19]))
        #expect(ID(text) == id)
        #expect(ID(text.uppercased()) == id)
    }

    @Test func `Identifiers of a process grow and never repeat, from several tasks at once`() async {
        let all = await withTaskGroup(of: [ID].self) { group in
            for _ in 0..<4 { group.addTask { (0..<5000).map { _ in ID() } } }
            return await group.reduce(into: [ID]()) { result, part in
                #expect(part == part.sorted())
                result += part
            }
        }
        #expect(Set(all).count == 20_000)
    }

    @Test func `Text that is no UUID is refused, cut at every byte and changed at every byte`() {
        let text = ID().description
        for length in 0..<36 { #expect(ID(String(text.prefix(length))) == nil) }
        for index in text.indices {
            #expect(ID(text.replacingCharacter(at: index, with: "x")) == nil)
            #expect(ID(text.replacingCharacter(at: index, with: "é")) == nil)
        }
        #expect(ID(text + "0") == nil)
        #expect(ID("\(text)\n") == nil)
    }

    @Test func `It is coded as its text, and a decoding error says what was expected`() throws {
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
