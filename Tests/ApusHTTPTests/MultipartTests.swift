import ApusCore
@testable import ApusHTTP
import FoundationEssentials
import HTTPTypes
import NIOCore
import Testing

private struct Upload: Decodable, Sendable {
    var title: String
    var pictures: [UploadedFile]
    var note: UploadedFile?
}

@Suite struct MultipartTests {
    private static let type: RequestHeaders = [.contentType: "multipart/form-data; boundary=\"x y\""]

    private func part(_ name: String, _ content: String, filename: String? = nil, type: String? = nil) -> String {
        "--x y\r\nContent-Disposition: form-data; name=\"\(name)\"" + (filename.map { "; filename=\"\($0)\"" } ?? "")
            + (type.map { "\r\nContent-Type: \($0)" } ?? "") + "\r\n\r\n\(content)\r\n"
    }

    private func post(
        _ body: String, limit: Int = 8 << 20, _ handler: @escaping @Sendable (Upload) async throws -> String
    )
        async throws -> Response
    {
        try await respond(.post, "/u", headers: Self.type, body: body) { routes in
            routes.post("u", Body(Upload.self, as: .multipart(threshold: 1000)), handler: handler).bodyLimit(limit)
        }
    }

    private func status(_ body: String) async throws -> HTTPResponse.Status {
        try await post(body) { _ in "read" }.status
    }

    @Test func `Fields and files are read; small files are stored in memory, large ones on disk`() async throws {
        let large = String(repeating: "0123456789", count: 100_000)
        let body =
            "preamble\r\n" + part("title", "Ferien\r\n--x")
            + part("pictures", "small", filename: "a.txt", type: "text/plain")
            + part("pictures", large, filename: "C:\\x\\..\\b.bin") + part("note", "", filename: "")
            + "--x y--\r\nepilogue"
        let response = try await post(body) { upload in
            #expect(upload.title == "Ferien\r\n--x")
            let (small, large) = (upload.pictures[0], upload.pictures[1])
            #expect(
                small.filename == "a.txt" && small.contentType == "text/plain" && small.size == 5 && !small.isOnDisk)
            #expect(large.filename == "b.bin" && large.contentType == nil && large.size == 1_000_000 && large.isOnDisk)
            #expect(upload.note == nil)
            let copy = "/tmp/apus-test-\(UUID())"
            defer { try? FileManager.default.removeItem(atPath: copy) }
            try await large.store(at: copy)
            #expect(FileManager.default.contents(atPath: copy)?.count == 1_000_000)
            await #expect(throws: (any Error).self) { try await large.store(at: copy) }
            await #expect(throws: AppError.self) { try await large.bytes(upTo: 999_999) }
            return try await String(buffer: large.bytes(upTo: 1_000_000))
        }
        #expect(text(response) == large)
    }

    @Test(arguments: [100, 3 << 20])
    func `The content of a file may be as large as the body limit of the route allows`(size: Int) async throws {
        let content = String(repeating: "x", count: size)
        let body = part("title", "t") + part("pictures", content, filename: "a") + "--x y--\r\n"
        let response = try await post(body, limit: 4 << 20) { upload in
            let bytes = try await upload.pictures[0].bytes()
            return String(buffer: bytes)
        }
        #expect(response.status == .ok)
        #expect(text(response) == content)
    }

    @Test func `A temporary file is removed when its last reference is released`() async throws {
        func path() async throws -> String {
            let file = try await TemporaryFile.make()
            #expect(FileManager.default.fileExists(atPath: file.path))
            return file.path
        }
        #expect(try await !FileManager.default.fileExists(atPath: path()))
    }

    @Test func `The result of parsing does not depend on how the bytes are split`() throws {
        let body = Array(("\r\n" + part("a", "1") + part("b", "\r\n--x\r\n--x z") + part("", "") + "--x y--").utf8)
        func events(_ size: Int) throws -> [String] {
            var parser = try MultipartParser(boundary: "x y")
            var events: [String] = []
            var start = 0
            while start < body.count {
                parser.append(ByteBuffer(bytes: body[start..<min(start + size, body.count)]))
                start += size
                while let event = try parser.next() {
                    switch event {
                    case .part(let fields): events.append("part \(fields[.contentDisposition] ?? "")")
                    case .bytes(let bytes):
                        if events.last?.hasPrefix("bytes") != true { events.append("bytes ") }
                        events[events.count - 1] += String(buffer: bytes)
                    case .end: events.append("end")
                    case .finished: events.append("finished")
                    }
                }
            }
            try parser.finish()
            return events
        }
        let whole = try events(body.count)
        #expect(whole.count == 9)
        for size in 1..<body.count { #expect(try events(size) == whole) }
    }

    @Test func `A body truncated at any byte is rejected`() async throws {
        let body = part("title", "x") + part("pictures", "y", filename: "a") + "--x y--"
        #expect(try await status(body) == .ok)
        for length in 0..<body.count {
            #expect(try await status(String(body.utf8.prefix(length)) ?? "") == .badRequest)
        }
    }

    @Test(arguments: [
        "", "--x y", "--x y--", "--x y\r\n\r\nno header\r\n--x y--",
        "--x y\r\nContent-Disposition: form-data\r\n\r\n\r\n--x y--",
        "--x y\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n\r\n--x y--",
        "--x y\r\nContent Disposition: form-data; name=\"a\"\r\n\r\n\r\n--x y--",
        "--x y\r\nnonsense\r\n\r\n\r\n--x y--", "--x yz\r\n\r\n--x y--", "--x y \u{1}\r\n\r\n\r\n--x y--",
        "--x y\nContent-Disposition: form-data; name=\"a\"\n\nx\n--x y--",
        "--x y\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--x y--",
    ])
    func `A malformed body is answered with 400, and an empty form with 422`(body: String) async throws {
        let status = try await status(body)
        #expect(status == .badRequest || (body == "--x y--" && status == .unprocessableContent))
    }

    @Test func `A Content-Type with a missing or invalid boundary is rejected`() async throws {
        for type in [
            "multipart/form-data", "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\(String(repeating: "x", count: 71))",
        ] {
            let response = try await respond(.post, "/u", headers: [.contentType: type], body: "--x--") { routes in
                routes.post("u", Body(Upload.self, as: .multipart())) { _ in "read" }
            }
            #expect(response.status == .badRequest || response.status == .unsupportedMediaType)
        }
    }

    @Test func `Ten thousand parts, an oversized part header and an oversized field are rejected`() async throws {
        let parts = (0..<10_000).map { part("f\($0)", "") }.joined() + "--x y--"
        #expect(try await status(parts) == .contentTooLarge)
        let header =
            "--x y\r\nContent-Disposition: form-data; name=\"\(String(repeating: "n", count: 9000))\"\r\n\r\n\r\n--x y--"
        #expect(try await status(header) == .badRequest)
        #expect(
            try await status(part("title", String(repeating: "x", count: 1 << 20 + 1)) + "--x y--") == .contentTooLarge)
    }

    @Test func `A nested multipart body is treated as the part's content`() async throws {
        let nested = "--in\r\nContent-Disposition: file; filename=\"a\"\r\n\r\nx\r\n--in--"
        let body =
            part("title", "t") + part("pictures", nested, filename: "n", type: "multipart/mixed; boundary=in")
            + "--x y--"
        let response = try await post(body) { try await String(buffer: $0.pictures[0].bytes()) }
        #expect(text(response) == nested)
    }

    @Test func `A body that exceeds the limit of its route is answered with 413 before the handler runs`() async throws
    {
        let response = try await post(part("title", String(repeating: "x", count: 2000)) + "--x y--", limit: 1000) {
            _ in "read"
        }
        #expect(response.status == .contentTooLarge)
    }

    @Test(
        arguments: [
            (#"a\"#, "a"), (#"a\"b"#, "a\"b"), ("a%22b", "a\"b"), ("a%41", "a%41"), ("a;b=\u{301}", "a;b=\u{301}"),
            ("\u{301}/\u{301}b", "\u{301}b"), ("a%0D%0Ab", nil),
        ] as [(String, String?)])
    func `A file name is read as browsers write it`(filename: String, expected: String?) async throws {
        let body = part("title", "t") + part("pictures", "", filename: filename) + "--x y--"
        let response = try await post(body) { upload in
            #expect(upload.pictures.count == 1, "An empty file with a name is a file.")
            return upload.pictures.first?.filename ?? "none"
        }
        #expect(Array(text(response).utf8) == Array((expected ?? "none").utf8))
    }

    @Test func `An extended file name is ignored, with or without quotes`() async throws {
        for extended in ["UTF-8''b.txt", "\"UTF-8''b.txt\""] {
            let picture =
                "--x y\r\nContent-Disposition: form-data; name=pictures; filename=a.txt; filename*=\(extended)\r\n\r\nx\r\n"
            let response = try await post(part("title", "t") + picture + "--x y--") {
                $0.pictures[0].filename ?? "none"
            }
            #expect(text(response) == "a.txt")
        }
    }

    @Test func `A file beside nested fields of the same name is rejected`() async throws {
        let body = part("title", "t") + part("note", "x", filename: "n") + part("note[a]", "1") + "--x y--"
        let response = try await post(body) { _ in "read" }
        #expect(try problem(response).errors?.first?.pointer == "/note")
    }

    @Test func `A file is not decoded as text, nor text as a file`() async throws {
        let response = try await post(part("title", "x", filename: "f") + part("pictures", "t") + "--x y--") { _ in
            "read"
        }
        #expect(response.status == .unprocessableContent)
        #expect(try problem(response).errors?.first?.pointer == "/title")
        let other = try await post(part("title", "x") + part("pictures", "t") + "--x y--") { _ in "read" }
        #expect(try problem(other).errors?.first?.pointer == "/pictures/0")
    }
}
