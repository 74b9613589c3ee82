import Testing

@testable import protoc_gen_apus

@Suite struct OptionsTests {
    @Test func `By default, code is internal and the output file has the same path`() throws {
        let options = try Options([])
        #expect(options.visibility == "internal")
        #expect(!options.usesAccessLevelOnImports)
        #expect(options.outputName(of: "a/b.proto") == "a/b.apus.swift")
    }

    @Test func `The options are those of the grpc-swift plugin`() throws {
        let options = try Options([
            ("Visibility", "Public"), ("UseAccessLevelOnImports", "true"), ("FileNaming", "PathToUnderscores"),
            ("ExtraModuleImports", "Shop"),
        ])
        #expect(options.visibility == "public")
        #expect(options.usesAccessLevelOnImports)
        #expect(options.extraImports == ["Shop"])
        #expect(options.outputName(of: "a/b.proto") == "a_b.apus.swift")
        #expect(try Options([("FileNaming", "DropPath")]).outputName(of: "a/b.proto") == "b.apus.swift")
    }

    @Test(arguments: [
        ("Visibility", "Secret"), ("FileNaming", "Random"), ("UseAccessLevelOnImports", "maybe"), ("Nothing", ""),
        ("ExtraModuleImports", ""),
    ])
    func `An unknown option is rejected, and the error names it`(key: String, value: String) {
        let error = #expect(throws: UnknownOption.self) { try Options([(key, value)]) }
        #expect(error?.description.contains("\(key)=\(value)") == true)
    }
}
