import ApusCore
import ApusHTTP
import ApusTesting
import Foundation
import Testing

@Suite struct ReadmeTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func `The first service of the README is the code in FirstService.swift`() throws {
        let readme = try String(contentsOf: Self.root.appending(path: "README.md"), encoding: .utf8)
        let service = try String(
            contentsOf: Self.root.appending(path: "Tests/ApusTests/FirstService.swift"), encoding: .utf8)
        let body = service.split(separator: "// MARK: README\n").last.map(String.init) ?? ""
        #expect(!body.isEmpty)
        #expect(readme.contains(body.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(body.split(separator: "\n", omittingEmptySubsequences: false).count <= 31)
    }

    @Test func `Every file that the README links to exists`() throws {
        let readme = try String(contentsOf: Self.root.appending(path: "README.md"), encoding: .utf8)
        for match in readme.matches(of: /\]\((?!http|#)([^)]+)\)/) {
            let path = Self.root.appending(path: String(match.1)).path
            #expect(FileManager.default.fileExists(atPath: path), "\(match.1)")
        }
    }

    @Test func `The first service answers requests and reports invalid input`() async throws {
        try await FirstService.app.test { app in
            #expect(try await app.client.get("/hello/Ada?times=2").text == "Hello, Ada! Hello, Ada!")
            let added = try await app.client.post("/sums", json: ["numbers": [1, 2, 3]])
            #expect(added.text == #"{"sum":6}"#)
            let rejected = try await app.client.post("/sums", json: ["numbers": [Int]()])
            #expect(try rejected.problem().errors?.map(\.pointer) == ["/numbers"])
        }
    }
}
