import Apus
import ApusTesting
import Foundation
import Testing

@Suite struct SettingsTests {
    private func withFolder(_ files: [String: String], _ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "apus-settings-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder.appending(path: "config"), withIntermediateDirectories: true)
        for (name, text) in files { try Data(text.utf8).write(to: folder.appending(path: name)) }
        try await body(folder.path)
    }

    @Test func `Flags override variables, which override the env file, then YAML, then defaults`()
        async throws
    {
        let files = [
            ".env": "B_X=file\nC_X=file\n",
            "config/development.yaml": "b: { x: yaml }\nc: { x: yaml }\nd: { x: yaml, n: 7, on: true }\n",
        ]
        try await withFolder(files) { folder in
            let settings = try await Settings(
                arguments: ["--a-x=flag"], variables: ["A_X": "variable", "B_X": "variable"], folder: folder)
            let found = ["a", "b", "c", "d", "e"].map { settings.string("\($0).x", default: "default") }
            #expect(found == ["flag", "variable", "file", "yaml", "default"])
            #expect(settings.int("d.n", default: 0, in: 0...9) == 7)
            #expect(settings.bool("d.on", default: false))
            try settings.check()
        }
    }

    @Test func `Quotes around a value of the env file are removed, and nothing else is changed`() async throws {
        let text =
            "\u{FEFF}# comment\r\nexport A_X=\"a b \"\r\n  B_X = '#'\nC_X=\"\n\nD_X=\"e\" f\nE_X=\u{301}x=y\nF_X=\"a'\nG_X=''"
        try await withFolder([".env": text]) { folder in
            let settings = try await Settings(folder: folder)
            let found = ["a", "b", "c", "d", "e", "f", "g"].map { settings.string("\($0).x", default: "default") }
            let expected = ["a b ", "#", "\"", "\"e\" f", "\u{301}x=y", "\"a'", "default"]
            #expect(found.map { Array($0.utf8) } == expected.map { Array($0.utf8) })
            try settings.check()
        }
    }

    @Test func `A line of the env file that is not an assignment is reported without its text`() async throws {
        try await withFolder([".env": "A_X=1\nhunter2\n=hunter2\nexport B_X=2"]) { folder in
            let settings = try await Settings(folder: folder)
            #expect(settings.string("a.x") == "1")
            #expect(settings.string("b.x") == "2")
            let error = #expect(throws: StartupError.self) { try settings.check() }
            let problems = try #require(error).problems
            #expect(problems.count == 2)
            #expect(problems.first?.hasPrefix("Line 2 of \(folder)/.env must be NAME=value") == true)
            #expect(!problems.joined().contains("hunter2"))
        }
    }

    @Test func `A combining mark after a delimiter of a flag does not hide the delimiter`() async throws {
        let settings = try await Settings(arguments: ["--a-x=\u{301}b", "--l=a,\u{301}b"], folder: "/nonexistent")
        #expect(settings.string("a.x").map { Array($0.utf8) } == Array("\u{301}b".utf8))
        #expect(settings.list("l").count == 2)
        try settings.check()
    }

    @Test func `The environment determines which file is read`() async throws {
        let files = [
            "config/production.yaml": "x: { y: production }", "config/development.yaml": "x: { y: development }",
        ]
        try await withFolder(files) { folder in
            let settings = try await Settings(variables: ["ENVIRONMENT": "production"], folder: folder)
            #expect(settings.string("x.y") == "production")
        }
    }

    @Test func `All problems are reported at once, without the values of secrets`() async throws {
        let settings = try await Settings(
            arguments: ["--http-port=70000", "--nonsense", "--key=hunter2"],
            variables: ["T_OUT": "soon", "LOG": "loud", "ENVIRONMENT": "production"], folder: "/nonexistent")
        _ = settings.int("http.port", default: 1, in: 0...65535)
        _ = settings.duration("t.out", default: .zero)
        _ = settings.choice("log", default: Level.quiet)
        _ = settings.secret("key", minimumBytes: 32)
        _ = settings.secret("other", developmentDefault: "x")
        let error = #expect(throws: StartupError.self) { try settings.check() }
        let text = try #require(error).description
        #expect(text.contains("6 problems"))
        for part in [
            "http.port (--http-port, HTTP_PORT) must be an integer from 0 to 65535; \"70000\" is not.",
            "T_OUT", "one of quiet, loudest", "KEY) must be a secret of at least 32 bytes; what is given is not.",
            "other (--other, OTHER) is required", "--nonsense is not a flag",
        ] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        #expect(!text.contains("hunter2"))
    }

    private enum Level: String, CaseIterable { case quiet, loudest }

    @Test(arguments: ["+80", " 80", "80 ", "0x50", "8_0", "80.0", "٨٠"])
    func `An integer is decimal digits, with a minus sign if it is negative`(text: String) async throws {
        let settings = try await Settings(variables: ["N": text], folder: "/nonexistent")
        _ = settings.int("n", default: 1, in: -100...100)
        #expect(throws: StartupError.self) { try settings.check() }
    }

    @Test func `A duration below its minimum is rejected`() async throws {
        let settings = try await Settings(variables: ["T": "0s"], folder: "/nonexistent")
        #expect(settings.duration("t", default: .seconds(5), atLeast: .milliseconds(1)) == .seconds(5))
        #expect(throws: StartupError.self) { try settings.check() }
    }

    @Test(arguments: [
        ("250ms", 0.25), ("30s", 30), ("5m", 300), ("1.5h", 5400), ("2d", 172_800),
    ]) func `A duration consists of a number and a unit`(text: String, seconds: Double) async throws {
        let settings = try await Settings(variables: ["T": text], folder: "/nonexistent")
        #expect(settings.duration("t", default: .zero).seconds == seconds)
        try settings.check()
    }

    @Test(arguments: ["5", "s", "-5s", "5 s", "1e99h", "5x", "٣s"])
    func `A malformed duration is rejected`(text: String) async throws {
        let settings = try await Settings(variables: ["T": text], folder: "/nonexistent")
        _ = settings.duration("t", default: .zero)
        #expect(throws: StartupError.self) { try settings.check() }
    }

    @Test func `A flag keeps its commas, and a list in YAML is a sequence or text`() async throws {
        let files = ["config/development.yaml": "a: { list: [x, y] }\nb: { list: \"x, y\" }\nc: { text: [x, y] }\n"]
        try await withFolder(files) { folder in
            let settings = try await Settings(
                arguments: ["--d-text=x,,y", "--e-list", "x,y", "--f-text="], variables: ["G_LIST": "x,y"],
                folder: folder)
            #expect(settings.string("d.text") == "x,,y")
            #expect(settings.string("f.text") == "")
            for key in ["a.list", "b.list", "e.list", "g.list"] { #expect(settings.list(key) == ["x", "y"], "\(key)") }
            #expect(settings.string("c.text") == nil)
            let error = #expect(throws: StartupError.self) { try settings.check() }
            #expect(error?.problems == ["c.text (--c-text, C_TEXT) must be text; a list is not."])
        }
    }

    @Test(arguments: [
        (["--x", "1", "2"], "\"2\" is neither a role nor a flag"), (["-x"], "\"-x\" is neither a role nor a flag"),
        (["dance"], "\"dance\" is neither a role nor a flag"), (["--x=1", "--x=1"], "--x is given twice."),
        (["--x=1", "--x", "2"], "--x is given twice."), (["--x=1", "--"], "-- is not a flag"),
        (["--X=1"], "--X is not a flag"),
    ]) func `An argument that is no flag, and a flag that is given twice, are rejected`(
        arguments: [String], problem: String
    ) async throws {
        let settings = try await Settings(arguments: arguments, folder: "/nonexistent")
        _ = settings.string("x")
        let error = #expect(throws: StartupError.self) { try settings.check() }
        let problems = try #require(error).problems
        #expect(problems.contains { $0.hasPrefix(problem) }, "\(problems)")
    }

    @Test func `Unknown keys of the YAML file are reported, with the key that was probably meant`() async throws {
        let files = ["config/development.yaml": "http: { prot: 80, port: 81 }\nlog:\nnonsense: 1\n"]
        try await withFolder(files) { folder in
            let settings = try await Settings(arguments: ["--http-prt=82"], folder: folder)
            #expect(settings.int("http.port", default: 0, in: 0...99) == 81)
            _ = settings.string("log.level")
            let error = #expect(throws: StartupError.self) { try settings.check() }
            let path = "\(folder)/config/development.yaml"
            #expect(
                error?.problems == [
                    "--http-prt is not a flag of this program. Did you mean --http-port?",
                    "\(path) has the unknown key http.prot. Did you mean http.port?",
                    "\(path) has the unknown key nonsense.",
                ])
        }
    }

    @Test func `A malformed file is rejected`() async throws {
        try await withFolder(["config/development.yaml": "a: [1, 2"]) { folder in
            await #expect(throws: (any Error).self) { try await Settings(folder: folder) }
        }
    }

    private struct HelloModule: Module {
        func configure(_ app: inout AppBuilder) {
            app.routes { routes in routes.get("hello") { "hello" } }
        }
    }

    @Test(
        arguments: [
            (["cors.origins": "https://app.example"], "https://app.example", nil),
            (["cors.origins": "https://app.example", "cors.credentials": "true"], "https://app.example", "true"),
            (["cors.origins": "*"], "*", nil),
            (["cors.origins": "https://other.example,http://localhost:3000"], nil, nil),
            (["cors.credentials": "true"], nil, nil),
        ] as [([String: String], String?, String?)])
    func `Pages of the configured origins may call the app, with cookies if the settings say so`(
        settings: [String: String], origin: String?, credentials: String?
    ) async throws {
        try await App("hello") { HelloModule() }.test(settings: settings) { app in
            let response = try await app.client.get("/hello", headers: [.origin: "https://app.example"])
            #expect(response.headers[.accessControlAllowOrigin] == origin)
            #expect(response.headers[.accessControlAllowCredentials] == credentials)
        }
    }

    @Test(arguments: [
        (["cors.origins": "*", "cors.credentials": "true"], "cors.credentials must be false if cors.origins is *"),
        (["cors.origins": "https://a.example,*", "cors.credentials": "true"], "cors.credentials must be false"),
        (["cors.origins": "https://app.example/"], "cors.origins: \"https://app.example/\" must be"),
        (["cors.origins": "https://App.example"], "cors.origins: \"https://App.example\" must be"),
        (["cors.origins": "https://app.example:443"], "cors.origins: \"https://app.example:443\" must be"),
        (["cors.origins": "https://*.example"], "cors.origins: \"https://*.example\" must be"),
        (["cors.origins": "app.example"], "cors.origins: \"app.example\" must be"),
        (["cors.origins": "null"], "cors.origins: \"null\" must be"),
    ])
    func `Origins that no browser sends, and cookies for all origins, stop the start`(
        settings: [String: String], problem: String
    ) async throws {
        let error = await #expect(throws: StartupError.self) {
            try await App("hello") { HelloModule() }.test(settings: settings) { _ in }
        }
        let problems = try #require(error).problems
        #expect(problems.contains { $0.hasPrefix(problem) }, "\(problems)")
    }
}
