import Apus
import ApusSQLite
import ApusTesting
import Synchronization
import Testing

private struct A: Sendable { let b: B }
private struct B: Sendable { let c: C }
private struct C: Sendable { let name: String }
private struct D: Sendable { let a: A }

/// A part that resolves others when it needs them.
private struct Late: Sendable { let container: Container }

private struct Broken: Error {}

private final class Counter: Sendable {
    private let count = Mutex(0)
    func next() -> Int {
        count.withLock { count in
            count += 1
            return count
        }
    }
}

private struct Wiring: Module {
    let configureApp: @Sendable (inout AppBuilder) -> Void
    func configure(_ app: inout AppBuilder) { configureApp(&app) }
}

@Suite struct ContainerTests {
    private func problems(_ configure: @escaping @Sendable (inout AppBuilder) -> Void) async throws -> [String] {
        do {
            try await App("test") { Wiring(configureApp: configure) }.test { _ in }
            return []
        } catch let error as StartupError { return error.problems }
    }

    @Test func `A part is built from the parts that it resolves, and can be overridden`() async throws {
        let app = App("test") {
            Wiring { app in
                app.provide(A.self) { A(b: try $0.resolve()) }
                app.provide(B.self) { B(c: try $0.resolve()) }
                app.provide(C.self) { _ in C(name: "real") }
                app.routes { routes, container in
                    let a: A = try container.resolve()
                    routes.get("name") { a.b.c.name }
                }
            }
        }
        #expect(try await app.test { try await $0.client.get("/name").text } == "real")
        let overridden = app.override(C.self) { _ in C(name: "fake") }
        #expect(try await overridden.test { try await $0.client.get("/name").text } == "fake")
    }

    @Test(arguments: [(true, ["on", "a", "n1", "n2"]), (false, ["b", "n1", "n2"])])
    func `Modules can be chosen by conditions and loops`(isOn: Bool, expected: [String]) async throws {
        func route(_ path: String) -> Wiring {
            Wiring { app in app.routes { routes in routes.get(path) { path } } }
        }
        let app = App("test") {
            if isOn { route("on") }
            if isOn { route("a") } else { route("b") }
            for number in 1...2 { route("n\(number)") }
        }
        try await app.test { app in
            for path in ["on", "a", "b", "n1", "n2"] {
                let status = try await app.client.get("/\(path)").status
                #expect((status == .ok) == expected.contains(path), "\(path)")
            }
        }
    }

    @Test func `A part is built once, however many parts resolve it`() async throws {
        let counter = Counter()
        let app = App("test") {
            Wiring { app in
                app.provide(A.self) { A(b: try $0.resolve()) }
                app.provide(B.self) { B(c: try $0.resolve()) }
                app.provide(C.self) { _ in C(name: "\(counter.next())") }
                app.routes { routes, container in
                    let (a, c) = (try container.resolve(A.self), try container.resolve(C.self))
                    routes.get("names") { "\(a.b.c.name) \(c.name)" }
                }
            }
        }
        #expect(try await app.test { try await $0.client.get("/names").text } == "1 1")
    }

    @Test func `A container that a part has kept resolves parts after the start`() async throws {
        let app = App("test") {
            Wiring { app in
                app.provide(Late.self) { Late(container: $0) }
                app.provide(C.self) { _ in C(name: "real") }
                app.routes { routes, container in
                    let late: Late = try container.resolve()
                    routes.get("name") { try late.container.resolve(C.self).name }
                }
            }
        }
        #expect(try await app.test { try await $0.client.get("/name").text } == "real")
        try await app.test { app in
            let late: Late = try app.resolve()
            let error = #expect(throws: StartupError.self) { try late.container.resolve(A.self) }
            #expect(error?.problems == ["Late → A: nothing provides A."])
            #expect(throws: StartupError(problems: ["Nothing provides A."])) { try app.resolve(A.self) }
        }
    }

    @Test func `All problems are reported, each once, however many parts it concerns`() async throws {
        let problems = try await problems { app in
            app.provide(A.self) { A(b: try $0.resolve()) }
            app.provide(B.self) { B(c: try $0.resolve()) }
            app.provide(C.self) { _ in throw Broken() }
            app.provide(D.self) { D(a: try $0.resolve()) }
            app.provide(Late.self) { Late(container: try $0.resolve()) }
        }
        try #require(problems.count == 2)
        #expect(problems[0].hasPrefix("A → B → C, provided at ApusTests/ContainerTests.swift:"))
        #expect(problems[0].hasSuffix(", could not be built: Broken()"))
        #expect(problems[1] == "Late → Container: nothing provides Container.")
    }

    @Test func `The start fails if a part is missing, and the error shows the dependency chain`() async throws {
        let problems = try await problems { app in
            app.provide(A.self) { A(b: try $0.resolve()) }
            app.provide(B.self) { B(c: try $0.resolve()) }
        }
        #expect(problems == ["A → B → C: nothing provides C."])
    }

    @Test func `The start fails if parts depend on each other, and the error shows the cycle`() async throws {
        let problems = try await problems { app in
            app.provide(A.self) { A(b: try $0.resolve()) }
            app.provide(B.self) { B(c: try $0.resolve()) }
            app.provide(C.self) { C(name: "\(try $0.resolve(A.self))") }
        }
        #expect(problems == ["A → B → C → A: circular dependency."])
    }

    @Test func `The start fails if a part is provided twice, and the error shows both locations`() async throws {
        let problems = try await problems { app in
            app.provide(C.self) { _ in C(name: "1") }
            app.provide(C.self) { _ in C(name: "2") }
        }
        #expect(problems.count == 1)
        #expect(problems[0].hasPrefix("C is provided twice: at ApusTests/ContainerTests.swift:"))
    }

    @Test func `The start fails if routes are ambiguous`() async throws {
        let problems = try await problems { app in
            app.routes { routes in
                routes.get("a/:x", Path("x")) { $0 }
                routes.get("a/:y", Path("y")) { $0 }
            }
        }
        #expect(problems.count == 1)
    }

    private struct Ping: Job {
        static let name = "ping"
    }

    private struct FirstPinger: Worker {
        func perform(_ job: Ping, _ context: JobContext) async throws {}
    }

    private struct SecondPinger: Worker {
        func perform(_ job: Ping, _ context: JobContext) async throws {}
    }

    @Test func `Workers without a database stop the start`() async throws {
        let problems = try await problems { $0.workers.add(FirstPinger()) }
        #expect(problems.count == 1 && problems[0].contains("no database"))
    }

    @Test func `Two workers of one job name stop the start, and the error names both`() async throws {
        let app = App("test", engines: SQLiteEngine()) {
            Wiring { app in
                app.workers.add(FirstPinger())
                app.workers.add(SecondPinger())
            }
        }
        let error = await #expect(throws: StartupError.self) { try await app.test { _ in } }
        let problem = try #require(error?.problems.first)
        for part in ["\"ping\"", "FirstPinger", "SecondPinger"] { #expect(problem.contains(part)) }
    }

    @Test func `All problems of routes are reported at once`() async throws {
        let problems = try await problems { app in
            app.routes { routes in
                routes.get("a/:b", Path("c")) { $0 }
                routes.get("x") { "" }
                routes.get("x") { "" }
            }
        }
        #expect(problems.count == 2)
    }

    @Test(arguments: [
        (["http.host": "127.0.0.1"], true), (["http.host": "::1"], true), (["http.host": "127.9.9.9"], true),
        (["http.host": "0.0.0.0"], false), (["http.host": "127.evil.example"], false),
        (["http.unix-socket": "/tmp/apus-test.sock"], false), (["http.trusted-proxies": "10.0.0.0/8"], false),
        (["http.proxies": "10.0.0.0/8"], false),
    ])
    func `Development secrets are refused as soon as anything says that the service is reached from outside`(
        settings: [String: String], isAllowed: Bool
    ) async throws {
        let app = App("test") {
            Wiring { app in _ = app.settings.secret("key", developmentDefault: "public") }
        }
        var problems: [String] = []
        do { try await app.test(settings: settings) { _ in } } catch let error as StartupError {
            problems = error.problems
        }
        #expect(problems.isEmpty == isAllowed, "\(problems)")
        if !isAllowed { #expect(problems.contains { $0.contains("key") && $0.contains("development default") }) }
    }
}
