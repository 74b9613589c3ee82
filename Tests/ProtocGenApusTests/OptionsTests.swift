import Testing

@testable import protoc_gen_apus

@Suite struct OptionsTests {
    @Test func `Without options code is internal, in a file of the same path`() throws {
        let options = try Options([])
        #expect(options.visibility == "internal")
        #expect(!options.saysAccessOnImports)
        #expect(options.outputName(of: "a/b.proto") == "a/b.apus.swift")
    }

    @Test func `The options are those of the plugin of grpc-swift`() throws {
        let options = try Options([
            ("Visibility", "Public"), ("UseAccessLevelOnImports", "true"), ("FileNaming", "PathToUnderscores"),
            ("ExtraModuleImports", "Shop"),
        ])
        #expect(options.visibility == "public")
        #expect(options.saysAccessOnImports)
        #expect(options.extraImports == ["Shop"])
        #expect(options.outputName(of: "a/b.proto") == "a_b.apus.swift")
        #expect(try Options([("FileNaming", "DropPath")]).outputName(of: "a/b.proto") == "b.apus.swift")
    }

    @Test(arguments: [
        ("Visibility", "Secret"), ("FileNaming", "Random"), ("UseAccessLevelOnImports", "maybe"), ("Nothing", ""),
        ("ExtraModuleImports", ""),
    ])
    func `What is not known is refused by its name`(key: String, value: String) {
        let error = #expect(throws: UnknownOption.self) { try Options([(key, value)]) }
        #expect(error?.description.contains("\(key)=\(value)") == true)
    }
}
