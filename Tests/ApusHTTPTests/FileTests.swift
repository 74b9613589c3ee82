import ApusCore
@testable import ApusHTTP
import FoundationEssentials
import HTTPTypes
import NIOCore
import Synchronization
import Testing

/// A temporary directory for a test, removed on deinitialization.
private final class TemporaryDirectory: Sendable {
    let path = "/tmp/apus-test-\(UUID())"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws {
        let file = "\(path)/\(name)"
        let directory = file.split(separator: "/").dropLast().joined(separator: "/")
        try FileManager.default.createDirectory(atPath: "/\(directory)", withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: file))
    }
}

/// Returns the body of a response as text, collecting a streamed body.
func collect(_ response: Response) async throws -> String {
    guard case .stream(let length, let produce) = response.body else { return text(response) }
    final class Writer: ResponseBodyWriter {
        let bytes = Mutex(ByteBuffer())
        func write(_ more: ByteBuffer) { bytes.withLock { _ = $0.writeImmutableBuffer(more) } }
        func setTrailers(_ trailers: HTTPFields) {}
    }
    let writer = Writer()
    try await produce(writer)
    let body = writer.bytes.withLock { $0 }
    if let length { #expect(length == body.readableBytes) }
    return String(buffer: body)
}

@Suite struct FileTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try directory.write("a.txt", "0123456789")
        try directory.write("empty.bin", "")
        try directory.write("sub/index.html", "<p>index</p>")
        try directory.write(".secret", "secret")
        try directory.write("sub/.git/config", "secret")
    }

    private func fetch(
        _ name: String = "a.txt", _ method: HTTPRequest.Method = .get, _ headers: RequestHeaders = [:]
    ) async throws -> Response {
        let path = "\(directory.path)/\(name)"
        return try await respond(method, "/f", headers: headers) { routes in
            routes.get("f") { try await FileResponse(path, cacheControl: "max-age=60") }
        }
    }

    @Test func `A file response has a content type, validators and caching directives`() async throws {
        let response = try await fetch()
        #expect(response.status == .ok)
        #expect(response.headers[.contentType] == "text/plain; charset=utf-8")
        #expect(response.headers[.cacheControl] == "max-age=60")
        #expect(response.headers[.acceptRanges] == "bytes")
        #expect(response.headers[.eTag] != nil && response.headers[.lastModified] != nil)
        #expect(try await collect(response) == "0123456789")
        let empty = try await fetch("empty.bin")
        #expect(empty.headers[.contentType] == "application/octet-stream")
        #expect(try await collect(empty).isEmpty)
        #expect(try await fetch("none").status == .notFound)
        #expect(try await fetch("sub").status == .notFound)
    }

    @Test
    func `A conditional request is answered with 304 for an unchanged file and with 412 for failed preconditions`()
        async throws
    {
        let complete = try await fetch()
        let tag = try #require(complete.headers[.eTag])
        let date = try #require(complete.headers[.lastModified])
        let past = "Sun, 06 Nov 1994 08:49:37 GMT"
        for headers: RequestHeaders in [
            [.ifNoneMatch: tag], [.ifNoneMatch: "\"x\", W/\(tag)"], [.ifNoneMatch: "*"], [.ifModifiedSince: date],
            [.ifNoneMatch: tag, .ifModifiedSince: past],
        ] {
            let response = try await fetch("a.txt", .get, headers)
            #expect(response.status == .notModified)
            #expect(response.headers[.eTag] == tag && response.headers[.contentType] == nil)
        }
        for headers: RequestHeaders in [
            [.ifMatch: "\"x\""], [.ifMatch: "W/\(tag)"], [.ifUnmodifiedSince: past], [.ifMatch: ""],
        ] {
            #expect(try await fetch("a.txt", .get, headers).status == .preconditionFailed)
        }
        for headers: RequestHeaders in [
            [.ifNoneMatch: "\"x\""], [.ifNoneMatch: "garbage, \""], [.ifModifiedSince: past],
            [.ifModifiedSince: "soon"],
            [.ifMatch: tag], [.ifMatch: "*"], [.ifUnmodifiedSince: date],
            [.ifNoneMatch: "\"x\"", .ifModifiedSince: date],
        ] {
            #expect(try await fetch("a.txt", .get, headers).status == .ok)
        }
    }

    @Test(arguments: [
        ("bytes=0-0", "0", "0-0"), ("bytes=2-4", "234", "2-4"), ("bytes=7-", "789", "7-9"), ("bytes=-2", "89", "8-9"),
        ("bytes=5-999", "56789", "5-9"), ("bytes=-999", "0123456789", "0-9"), ("BYTES= 1-1 ", "1", "1-1"),
        ("bytes=0-99999999999999999999999", "0123456789", "0-9"), ("bytes=20-30, 3-3", "3", "3-3"),
    ])
    func `A range request is answered with 206 and the requested bytes`(field: String, bytes: String, place: String)
        async throws
    {
        let response = try await fetch("a.txt", .get, [.range: field])
        #expect(response.status == .partialContent)
        #expect(response.headers[.contentRange] == "bytes \(place)/10")
        #expect(try await collect(response) == bytes)
    }

    @Test func `Several ranges are answered with a multipart body`() async throws {
        let response = try await fetch("a.txt", .get, [.range: "bytes=0-1, 8-, 4-5"])
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
    func `Malformed, overlapping and too many ranges are answered with the complete file`(field: String) async throws {
        let response = try await fetch("a.txt", .get, [.range: field])
        #expect(response.status == .ok)
        #expect(try await collect(response) == "0123456789")
    }

    @Test func `A range outside of the file is answered with 416`() async throws {
        for (name, field) in [
            ("a.txt", "bytes=10-"), ("a.txt", "bytes=-0"), ("empty.bin", "bytes=0-0"), ("empty.bin", "bytes=-0"),
        ] {
            let response = try await fetch(name, .get, [.range: field])
            #expect(response.status == .rangeNotSatisfiable)
            #expect(response.headers[.contentRange] == "bytes */\(name == "a.txt" ? 10 : 0)")
        }
    }

    @Test func `A suffix range of an empty file is answered with 200`() async throws {
        let response = try await fetch("empty.bin", .get, [.range: "bytes=-5"])
        #expect(response.status == .ok)
        #expect(response.headers[.contentRange] == nil)
    }

    @Test func `A range with an outdated If-Range validator, or of a HEAD request, is ignored`() async throws {
        let tag = try #require(try await fetch().headers[.eTag])
        let date = try #require(try await fetch().headers[.lastModified])
        for (value, status) in [
            (tag, HTTPResponse.Status.partialContent), (date, .partialContent), ("\"x\"", .ok), ("W/\(tag)", .ok),
            ("Sun, 06 Nov 1994 08:49:37 GMT", .ok), ("nonsense", .ok),
        ] {
            #expect(try await fetch("a.txt", .get, [.range: "bytes=0-0", .ifRange: value]).status == status)
        }
        #expect(try await fetch("a.txt", .head, [.range: "bytes=0-0"]).status == .ok)
    }

    @Test func `The file name of a download is escaped in Content-Disposition`() {
        #expect(FileResponse.attachment("a b.pdf") == "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf")
        #expect(FileResponse.attachment("a.pdf") == "attachment; filename=\"a.pdf\"")
        #expect(
            FileResponse.attachment("é\"\r\n.pdf")
                == "attachment; filename=\"____.pdf\"; filename*=UTF-8''%C3%A9%22%0D%0A.pdf")
    }

    @Test func `A file below a directory is opened without following symbolic links`() async throws {
        let path = directory.path
        try FileManager.default.createSymbolicLink(atPath: "\(path)/out", withDestinationPath: "/etc")
        try FileManager.default.createSymbolicLink(atPath: "\(path)/in.txt", withDestinationPath: "\(path)/a.txt")
        let file = try await OpenFile.forReading(["sub", "index.html"], below: path)
        let bytes = try await file.read(from: 0, count: 100)
        #expect(String(buffer: bytes) == "<p>index</p>")
        for names in [["out", "passwd"], ["in.txt"], ["sub", "none"], ["a.txt", "x"]] {
            let failure = await #expect(throws: OpenFile.Failure.self) {
                try await OpenFile.forReading(names, below: path)
            }
            #expect(failure?.isMissing == true, "\(names)")
        }
    }

    @Test func `The files of a directory are served, except hidden files and files outside of it`() async throws {
        try FileManager.default.createSymbolicLink(atPath: "\(directory.path)/out", withDestinationPath: "/etc")
        try FileManager.default.createSymbolicLink(
            atPath: "\(directory.path)/in.txt", withDestinationPath: "\(directory.path)/a.txt")
        func fetch(_ target: String) async throws -> Response {
            try await respond(.get, target) { $0.group("v1") { $0.files("assets", from: directory.path) } }
        }
        #expect(try await collect(fetch("/v1/assets/a.txt")) == "0123456789")
        #expect(try await collect(fetch("/v1/assets/%61.txt")) == "0123456789")
        #expect(try await collect(fetch("/v1/assets/in.txt")) == "0123456789")
        #expect(try await collect(fetch("/v1/assets/sub/")) == "<p>index</p>")
        #expect(try await collect(fetch("/v1/assets/sub/index.html")) == "<p>index</p>")
        for path in [
            "", "/", "/.secret", "/%2esecret", "/sub/.git/config", "/../a.txt", "/sub/../a.txt",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/..%2f..%2fetc/passwd", "/sub%2findex.html", "/out/passwd", "/a.txt%00", "/%", "/a.txt/x", "/none",
            "/..\\a.txt", "//a.txt", "/a.txt/", "//", "/sub//", "//sub/", "/sub//index.html", "/sub/index.html/",
            "/" + String(repeating: "x", count: 5000),
        ] {
            #expect(try await fetch("/v1/assets\(path)").status.kind == .clientError, "\(path.prefix(40))")
        }
    }

    @Test func `A directory without a slash is answered with a redirect to the path with one`() async throws {
        func fetch(_ target: String, at prefix: String = "assets", _ method: HTTPRequest.Method = .get) async throws
            -> Response
        {
            try await respond(method, target) { $0.files(prefix, from: directory.path, cacheControl: "max-age=60") }
        }
        for (target, location) in [
            ("/assets/sub", "/assets/sub/"), ("/assets/sub?a=b&c=%20", "/assets/sub/?a=b&c=%20"),
            ("/assets/s%75b", "/assets/s%75b/"), ("/assets/sub?x=\r\ny", "/assets/sub/?x=%0D%0Ay"),
        ] {
            let response = try await fetch(target)
            #expect(response.status == .permanentRedirect)
            #expect(response.headers[.location] == location)
            #expect(response.headers[.cacheControl] == "max-age=60")
        }
        #expect(try await fetch("/assets/sub", .head).status == .permanentRedirect)
        #expect(try await fetch("/sub", at: "").headers[.location] == "/sub/")
        for target in ["//sub", "///sub", "/\\sub", "/%5Csub", "/%2Fsub", "//evil.example/sub", "/\\evil.example/.."] {
            let response = try await fetch(target, at: "")
            #expect(response.status.kind == .clientError, "\(target)")
            #expect(response.headers[.location] == nil)
        }
    }

    @Test func `The index of the served directory itself is at the path with a slash`() async throws {
        try directory.write("index.html", "<p>top</p>")
        func fetch(_ target: String, at prefix: String) async throws -> Response {
            try await respond(.get, target) { $0.files(prefix, from: directory.path) }
        }
        #expect(try await collect(fetch("/", at: "")) == "<p>top</p>")
        #expect(try await collect(fetch("/assets/", at: "assets")) == "<p>top</p>")
        #expect(try await fetch("/assets?v=2", at: "assets").headers[.location] == "/assets/?v=2")
    }

    @Test func `A directory that does not exist is reported once, with its full path`() throws {
        for name in ["none", "a.txt"] {
            let routes = Routes()
            routes.files("assets", from: "\(directory.path)/\(name)", file: "Site.swift", line: 7)
            let error = #expect(throws: RouteError.self) { try Router(routes) }
            #expect(
                error?.description
                    == "The folder \(directory.path)/\(name), whose files are declared at Site.swift:7, does not exist or is not a folder."
            )
        }
        let routes = Routes()
        routes.files("assets", from: "no-such-folder")
        var problems: [RouteError] = []
        _ = Router(routes, &problems)
        #expect(problems.count == 1)
        #expect(
            problems.first?.description.contains("\(FileManager.default.currentDirectoryPath)/no-such-folder") == true)
    }
}
