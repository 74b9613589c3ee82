import ApusCore
@testable import ApusHTTP
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization
import Testing

/// A folder of a test's own, removed afterwards.
private final class Folder: Sendable {
    let path = "/tmp/apus-test-\(UUID())"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws {
        let file = "\(path)/\(name)"
        let folder = file.split(separator: "/").dropLast().joined(separator: "/")
        try FileManager.default.createDirectory(atPath: "/\(folder)", withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: file))
    }
}

/// Collects what a streamed body writes.
func collect(_ response: Response) async throws -> String {
    guard case .stream(let length, let produce) = response.body else { return text(response) }
    final class Writer: ResponseBodyWriter {
        let bytes = Mutex(ByteBuffer())
        func write(_ more: ByteBuffer) { bytes.withLock { _ = $0.writeImmutableBuffer(more) } }
        func setTrailers(_ trailers: HTTPFields) {}
    }
    let writer = Writer()
    try await produce(writer)
    let whole = writer.bytes.withLock { $0 }
    if let length { #expect(length == whole.readableBytes) }
    return String(buffer: whole)
}

@Suite struct FileTests {
    private let folder: Folder

    init() throws {
        folder = try Folder()
        try folder.write("a.txt", "0123456789")
        try folder.write("empty.bin", "")
        try folder.write("sub/index.html", "<p>index</p>")
        try folder.write(".secret", "secret")
        try folder.write("sub/.git/config", "secret")
    }

    private func ask(
        _ name: String = "a.txt", _ method: HTTPRequest.Method = .get, _ headers: RequestHeaders = [:]
    ) async throws -> Response {
        let path = "\(folder.path)/\(name)"
        return try await respond(method, "/f", headers: headers) { routes in
            routes.get("f") { try await FileResponse(path, cacheControl: "max-age=60") }
        }
    }

    @Test func `A file comes with its type, its state and its caching`() async throws {
        let response = try await ask()
        #expect(response.status == .ok)
        #expect(response.headers[.contentType] == "text/plain; charset=utf-8")
        #expect(response.headers[.cacheControl] == "max-age=60")
        #expect(response.headers[.acceptRanges] == "bytes")
        #expect(response.headers[.eTag] != nil && response.headers[.lastModified] != nil)
        #expect(try await collect(response) == "0123456789")
        let empty = try await ask("empty.bin")
        #expect(empty.headers[.contentType] == "application/octet-stream")
        #expect(try await collect(empty).isEmpty)
        #expect(try await ask("none").status == .notFound)
        #expect(try await ask("sub").status == .notFound)
    }

    @Test func `A client that has the file receives 304, one that means another one 412`() async throws {
        let whole = try await ask()
        let tag = try #require(whole.headers[.eTag])
        let date = try #require(whole.headers[.lastModified])
        let past = "Sun, 06 Nov 1994 08:49:37 GMT"
        for headers: RequestHeaders in [
            [.ifNoneMatch: tag], [.ifNoneMatch: "\"x\", W/\(tag)"], [.ifNoneMatch: "*"], [.ifModifiedSince: date],
            [.ifNoneMatch: tag, .ifModifiedSince: past],
        ] {
            let response = try await ask("a.txt", .get, headers)
            #expect(response.status == .notModified)
            #expect(response.headers[.eTag] == tag && response.headers[.contentType] == nil)
        }
        for headers: RequestHeaders in [
            [.ifMatch: "\"x\""], [.ifMatch: "W/\(tag)"], [.ifUnmodifiedSince: past], [.ifMatch: ""],
        ] {
            #expect(try await ask("a.txt", .get, headers).status == .preconditionFailed)
        }
        for headers: RequestHeaders in [
            [.ifNoneMatch: "\"x\""], [.ifNoneMatch: "garbage, \""], [.ifModifiedSince: past],
            [.ifModifiedSince: "soon"],
            [.ifMatch: tag], [.ifMatch: "*"], [.ifUnmodifiedSince: date],
            [.ifNoneMatch: "\"x\"", .ifModifiedSince: date],
        ] {
            #expect(try await ask("a.txt", .get, headers).status == .ok)
        }
    }

    @Test(arguments: [
        ("bytes=0-0", "0", "0-0"), ("bytes=2-4", "234", "2-4"), ("bytes=7-", "789", "7-9"), ("bytes=-2", "89", "8-9"),
        ("bytes=5-999", "56789", "5-9"), ("bytes=-999", "0123456789", "0-9"), ("BYTES= 1-1 ", "1", "1-1"),
        ("bytes=0-99999999999999999999999", "0123456789", "0-9"), ("bytes=20-30, 3-3", "3", "3-3"),
    ])
    func `A range is 206 with its bytes`(field: String, bytes: String, place: String) async throws {
        let response = try await ask("a.txt", .get, [.range: field])
        #expect(response.status == .partialContent)
        #expect(response.headers[.contentRange] == "bytes \(place)/10")
        #expect(try await collect(response) == bytes)
    }

    @Test func `Several ranges are several parts`() async throws {
        let response = try await ask("a.txt", .get, [.range: "bytes=0-1, 8-, 4-5"])
        #expect(response.status == .partialContent)
        let type = try #require(response.headers[.contentType])
        let boundary = try #require(type.split(separator: "=").last)
        let expected = [("0-1", "01"), ("8-9", "89"), ("4-5", "45")].map { place, bytes in
            "\r\n--\(boundary)\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes \(place)/10\r\n\r\n\(bytes)"
        }
        #expect(try await collect(response) == expected.joined() + "\r\n--\(boundary)--\r\n")
    }

    @Test(arguments: [
        "bytes=", "bytes", "lines=1-2", "bytes=4-2", "bytes=a-b", "bytes=--1", "bytes=1-2-3", "bytes=-", "bytes=+1-2",
        "bytes=0-5,3-9", "bytes=0-,-1", "bytes=0-0,1-1,x", String(repeating: "bytes=", count: 3),
        "bytes=" + Array(repeating: "0-0", count: 10_000).joined(separator: ","),
        "bytes=" + (0..<9).map { "\($0)-\($0)" }.joined(separator: ",") + ",9-9,0-0",
    ])
    func `Ranges that are none, overlap or are too many are answered with the whole`(field: String) async throws {
        let response = try await ask("a.txt", .get, [.range: field])
        #expect(response.status == .ok)
        #expect(try await collect(response) == "0123456789")
    }

    @Test func `A range that is not there is 416`() async throws {
        for (name, field) in [
            ("a.txt", "bytes=10-"), ("a.txt", "bytes=-0"), ("empty.bin", "bytes=0-0"), ("empty.bin", "bytes=-0"),
        ] {
            let response = try await ask(name, .get, [.range: field])
            #expect(response.status == .rangeNotSatisfiable)
            #expect(response.headers[.contentRange] == "bytes */\(name == "a.txt" ? 10 : 0)")
        }
    }

    @Test func `The last bytes of an empty file are all of it`() async throws {
        let response = try await ask("empty.bin", .get, [.range: "bytes=-5"])
        #expect(response.status == .ok)
        #expect(response.headers[.contentRange] == nil)
    }

    @Test func `A range of another state, and one of HEAD, is the whole`() async throws {
        let tag = try #require(try await ask().headers[.eTag])
        let date = try #require(try await ask().headers[.lastModified])
        for (value, status) in [
            (tag, HTTPResponse.Status.partialContent), (date, .partialContent), ("\"x\"", .ok), ("W/\(tag)", .ok),
            ("Sun, 06 Nov 1994 08:49:37 GMT", .ok), ("nonsense", .ok),
        ] {
            #expect(try await ask("a.txt", .get, [.range: "bytes=0-0", .ifRange: value]).status == status)
        }
        #expect(try await ask("a.txt", .head, [.range: "bytes=0-0"]).status == .ok)
    }

    @Test func `A download has a name that is safe in its field`() {
        #expect(FileResponse.attachment("a b.pdf") == "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf")
        #expect(FileResponse.attachment("a.pdf") == "attachment; filename=\"a.pdf\"")
        #expect(
            FileResponse.attachment("é\"\r\n.pdf")
                == "attachment; filename=\"____.pdf\"; filename*=UTF-8''%C3%A9%22%0D%0A.pdf")
    }

    @Test func `A folder's files are served, and nothing outside of it or hidden in it`() async throws {
        try FileManager.default.createSymbolicLink(atPath: "\(folder.path)/out", withDestinationPath: "/etc")
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder.path)/in.txt", withDestinationPath: "\(folder.path)/a.txt")
        func ask(_ target: String) async throws -> Response {
            try await respond(.get, target) { $0.group("v1") { $0.files("assets", from: folder.path) } }
        }
        #expect(try await collect(ask("/v1/assets/a.txt")) == "0123456789")
        #expect(try await collect(ask("/v1/assets/%61.txt")) == "0123456789")
        #expect(try await collect(ask("/v1/assets/in.txt")) == "0123456789")
        #expect(try await collect(ask("/v1/assets/sub/")) == "<p>index</p>")
        #expect(try await collect(ask("/v1/assets/sub/index.html")) == "<p>index</p>")
        for path in [
            "", "/", "/.secret", "/%2esecret", "/sub/.git/config", "/../a.txt", "/sub/../a.txt",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/..%2f..%2fetc/passwd", "/sub%2findex.html", "/out/passwd", "/a.txt%00", "/%", "/a.txt/x", "/none",
            "/..\\a.txt",
            "/" + String(repeating: "x", count: 5000),
        ] {
            #expect(try await ask("/v1/assets\(path)").status.kind == .clientError, "\(path.prefix(40))")
        }
    }
}
