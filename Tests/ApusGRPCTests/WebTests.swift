import Apus
import ApusCore
import ApusGRPC
import ApusHTTP
import ApusTesting
import FoundationEssentials
import HTTPTypes
import InteropService
import NIOCore
import SwiftProtobuf
import Testing

/// gRPC-Web calls as made by browsers, also over HTTP/1.1.
@Suite(.timeLimit(.minutes(10))) struct WebTests {
    enum Form: String, CaseIterable {
        case binary = "application/grpc-web+proto"
        case text = "application/grpc-web-text"

        func encode(_ bytes: [UInt8]) -> ByteBuffer {
            self == .binary ? ByteBuffer(bytes: bytes) : ByteBuffer(string: Data(bytes).base64EncodedString())
        }

        /// Decodes a body whose base64 segments may each end with padding.
        func decode(_ body: ByteBuffer) -> [UInt8] {
            guard self == .text else { return Array(body.readableBytesView) }
            let text = Array(body.readableBytesView)
            return stride(from: 0, to: text.count, by: 4).flatMap { start in
                Array(Data(base64Encoded: Data(text[start..<min(start + 4, text.count)])) ?? Data())
            }
        }
    }

    /// Returns the messages of a body with their flags.
    private func messages(_ bytes: [UInt8]) -> [(flag: UInt8, bytes: [UInt8])] {
        var (rest, found) = (bytes[...], [(UInt8, [UInt8])]())
        while rest.count >= 5 {
            let flag = rest.removeFirst()
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            found.append((flag, Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
        return found
    }

    private func framed(_ message: some SwiftProtobuf.Message) throws -> [UInt8] {
        let bytes: [UInt8] = try message.serializedBytes()
        return [0] + withUnsafeBytes(of: UInt32(bytes.count).bigEndian, Array.init) + bytes
    }

    private func call(
        _ client: TestClient, _ form: Form, _ method: String, _ message: some SwiftProtobuf.Message
    ) async throws -> ClientResponse {
        try await client.send(
            .post, "/apus.test.Interop/\(method)", headers: [.contentType: form.rawValue, .init("x-grpc-web")!: "1"],
            body: form.encode(try framed(message)))
    }

    @Test(arguments: Form.allCases, TestApp.Transport.allCases)
    func `The response of a unary call ends with the status as its last message`(
        form: Form, transport: TestApp.Transport
    )
        async throws
    {
        try await App("web") { InteropModule() }.test(transport) { app in
            let response = try await call(
                app.client, form, "UnaryCall", Apus_Test_SimpleRequest.with { $0.responseSize = 10 })
            #expect(response.status == .ok)
            #expect(response.headers[.contentType]?.hasPrefix("application/grpc-web") == true)
            let messages = messages(form.decode(response.body))
            #expect(messages.map(\.flag) == [0, 0x80])
            #expect(try Apus_Test_SimpleResponse(serializedBytes: messages[0].bytes).payload.body.count == 10)
            #expect(String(decoding: messages[1].bytes, as: UTF8.self) == "grpc-status: 0\r\n")
            #expect(app.logs.lines.contains { $0.contains("grpc_status=OK") })
        }
    }

    @Test(arguments: Form.allCases, TestApp.Transport.allCases)
    func `A streaming response ends with the status as its last message`(form: Form, transport: TestApp.Transport)
        async throws
    {
        try await App("web") { InteropModule() }.test(transport) { app in
            let request = Apus_Test_OutputRequest.with {
                $0.responseParameters = [1, 2, 3].map { size in .with { $0.size = size } }
                $0.responseStatus.code = 5
                $0.responseStatus.message = "é"
            }
            let response = try await call(app.client, form, "StreamingOutputCall", request)
            let messages = messages(form.decode(response.body))
            #expect(messages.map(\.flag) == [0, 0, 0, 0x80])
            #expect(
                messages.last.map { String(decoding: $0.bytes, as: UTF8.self) }
                    == "grpc-status: 5\r\ngrpc-message: %C3%A9\r\n")
        }
    }

    @Test(arguments: Form.allCases) func `An error without messages is in the header fields`(form: Form) async throws {
        try await App("web") { InteropModule() }.test { app in
            let response = try await call(
                app.client, form, "UnaryCall", Apus_Test_SimpleRequest.with { $0.failure = "app" })
            #expect(response.headers[.grpcStatus] == "10")
            #expect(response.body.readableBytes == 0)
        }
    }

    @Test(arguments: Form.allCases, ["UnaryCall", "StreamingOutputCall", "Unknown"])
    func `The answer has the form that the client accepts`(form: Form, method: String) async throws {
        let other = form == .binary ? Form.text : .binary
        try await App("web") { InteropModule() }.test { app in
            let response = try await app.client.send(
                .post, "/apus.test.Interop/\(method)",
                headers: [.contentType: form.rawValue, .accept: other.rawValue], body: form.encode([0, 0, 0, 0, 0]))
            let type = other == .text ? "application/grpc-web-text" : "application/grpc-web"
            #expect(response.headers[.contentType] == type)
            let isError = method == "Unknown"
            #expect(messages(other.decode(response.body)).last?.flag == (isError ? nil : 0x80))
        }
    }

    @Test(arguments: TestApp.Transport.allCases)
    func `A page of another origin may read the metadata of its calls`(transport: TestApp.Transport) async throws {
        let settings = ["cors.origins": "https://app.example.org"]
        try await App("web") { InteropModule() }.test(transport, settings: settings) { app in
            func exposed(_ method: String, _ message: some SwiftProtobuf.Message, origin: String) async throws
                -> [String]
            {
                let response = try await app.client.send(
                    .post, "/apus.test.Interop/" + method,
                    headers: [
                        .origin: origin, .contentType: "application/grpc-web", .init("x-echo-initial")!: "1",
                    ], body: ByteBuffer(bytes: try framed(message)))
                let field = response.headers[.accessControlExposeHeaders] ?? ""
                return field.split(separator: ",").map { $0.drop { $0 == " " }.lowercased() }
            }
            let origin = "https://app.example.org"
            let (empty, failing) = (Apus_Test_SimpleRequest(), Apus_Test_SimpleRequest.with { $0.failure = "other" })
            for names in [
                try await exposed("UnaryCall", empty, origin: origin),
                try await exposed("FullDuplexCall", Apus_Test_OutputRequest(), origin: origin),
            ] {
                #expect(names.contains("x-echo-initial") && names.contains("grpc-status"))
                #expect(!names.contains("content-type") && !names.contains("vary"))
                #expect(Set(names).count == names.count)
            }
            let names = try await exposed("UnaryCall", failing, origin: origin)
            #expect(names.contains("x-reason") && names.contains("x-bytes-bin") && names.contains("grpc-status"))
            let none = try await exposed("UnaryCall", empty, origin: "https://other.example.org")
            #expect(none.isEmpty)
        }
    }

    @Test func `A page of another origin may call if its origin is allowed`() async throws {
        let settings = ["cors.origins": "https://app.example.org"]
        try await App("web") { InteropModule() }.test(settings: settings) { app in
            let preflight = try await app.client.send(
                .options, "/apus.test.Interop/EmptyCall",
                headers: [
                    .origin: "https://app.example.org", .accessControlRequestMethod: "POST",
                    .accessControlRequestHeaders: "content-type,x-grpc-web,x-user-agent",
                ])
            #expect(preflight.headers[.accessControlAllowHeaders]?.contains("X-Grpc-Web") == true)
            let answer = try await app.client.send(
                .post, "/apus.test.Interop/EmptyCall",
                headers: [.origin: "https://app.example.org", .contentType: "application/grpc-web"],
                body: ByteBuffer(bytes: [0, 0, 0, 0, 0]))
            #expect(answer.headers[.accessControlExposeHeaders]?.contains("Grpc-Status") == true)
        }
    }
}
