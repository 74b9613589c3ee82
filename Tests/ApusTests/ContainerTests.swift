import Apus
import ApusTesting
import Testing

private struct A: Sendable { let b: B }
private struct B: Sendable { let c: C }
private struct C: Sendable { let name: String }

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

    @Test func `The start fails if a part is missing, and the error shows the dependency chain`() async throws {
        let problems = try await problems { app in
            app.provide(A.self) { A(b: try $0.resolve()) }
            app.provide(B.self) { B(c: try $0.resolve()) }
        }
        #expect(problems.contains("A → B → C: nothing provides C."))
    }

    @Test func `The start fails if parts depend on each other, and the error shows the cycle`() async throws {
        let problems = try await problems { app in
            app.provide(A.self) { A(b: try $0.resolve()) }
            app.provide(B.self) { B(c: try $0.resolve()) }
            app.provide(C.self) { C(name: "\(try $0.resolve(A.self))") }
        }
        #expect(problems.contains("A → B → C → A: they need each other."))
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
}
