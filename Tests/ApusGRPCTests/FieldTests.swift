import ApusCore
import ApusHTTP
import GRPCCore
import GRPCProtobuf
import HTTPTypes
import NIOCore
import SwiftProtobuf
import Testing

@testable import ApusGRPC

/// The header fields and trailers of calls.
@Suite struct FieldTests {
    @Test(
        arguments: [
            ("1H", .seconds(3600)), ("2M", .seconds(120)), ("3S", .seconds(3)), ("4m", .milliseconds(4)),
            ("5u", .microseconds(5)), ("6n", .nanoseconds(6)), ("0n", .zero), ("99999999S", .seconds(99_999_999)),
        ] as [(String, Duration)])
    func `A timeout consists of a number and a unit`(text: String, duration: Duration) throws {
        #expect(try CallHead.timeout(text) == duration)
    }

    @Test(arguments: ["", "S", "1", "1s", "123456789S", "-1S", "+1S", "1 S", "١S", "1.5S", "0x1S", "1SS"])
    func `A malformed timeout is rejected`(text: String) {
        #expect(#expect(throws: AppError.self) { try CallHead.timeout(text) }?.code == .internal)
    }

    @Test(
        arguments: [
            ("application/grpc", .grpc), ("application/grpc+proto", .grpc), ("application/grpc; charset=utf-8", .grpc),
            ("Application/GRPC", .grpc), ("application/grpc-web", .web), ("application/grpc-web+proto", .web),
            ("application/grpc-web-text", .webText), ("application/grpc-web-text+proto", .webText),
            ("application/grpc+json", nil), ("application/grpc-web+json", nil), ("application/grpcx", nil),
            ("application/json", nil), ("", nil),
        ] as [(String, WireFormat?)])
    func `The content type determines the wire format`(type: String, format: WireFormat?) {
        #expect(WireFormat(contentType: type) == format)
    }

    @Test func `Metadata contains the fields that gRPC does not reserve`() throws {
        let request = Request(
            method: .post, target: "/",
            headers: [
                .contentType: "application/grpc", .te: "trailers", .init("grpc-timeout")!: "1S", .init("x-a")!: "1",
                .init("x-b-bin")!: "AAE, Ag==,", .authorization: "Bearer t", .userAgent: "me",
            ])
        let metadata = try Metadata(request.headers)
        #expect(Set(metadata.map(\.key)) == ["x-a", "x-b-bin", "authorization", "user-agent"])
        #expect(Array(metadata[binaryValues: "x-b-bin"]) == [[0, 1], [2], []])
    }

    @Test(arguments: [
        "A", "AAAAA", "A?", "AAAA=A", "é", "====", "==", "=", "qg=g", "qg=", "q===", "AA==AA==", "qg-_", "AA AA",
        "AAE,====",
    ])
    func `A binary value that is not base64 is rejected with the name of its field`(text: String) {
        let request = Request(method: .post, target: "/", headers: [.init("x-bin")!: text])
        let error = #expect(throws: AppError.self) { _ = try Metadata(request.headers) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("x-bin") == true)
    }

    @Test(
        arguments: [
            ("qg", [0xAA]), ("qg==", [0xAA]), ("AAE", [0, 1]), ("AAE=", [0, 1]), ("+/+/", [251, 255, 191]),
        ] as [(String, [UInt8])])
    func `The padding of a binary value is optional`(text: String, bytes: [UInt8]) throws {
        let request = Request(method: .post, target: "/", headers: [.init("x-bin")!: text])
        let metadata = try Metadata(request.headers)
        #expect(Array(metadata[binaryValues: "x-bin"]) == [bytes])
    }

    @Test(
        arguments: [
            (.grpc, "application/grpc-web", .grpc), (.web, nil, .web), (.webText, nil, .webText),
            (.web, "application/grpc-web-text", .webText), (.webText, "application/grpc-web", .web),
            (.webText, "application/grpc-web+proto", .web), (.web, "application/grpc-web-text+proto", .webText),
            (.web, "*/*", .web), (.webText, "application/*", .webText), (.webText, "text/html", .webText),
            (.web, "application/grpc-web-text, application/grpc-web", .web),
            (.web, "application/grpc-web-text, application/grpc-web;q=0.5", .webText),
        ] as [(WireFormat, String?, WireFormat)])
    func `A gRPC-Web client chooses the form of the answer`(format: WireFormat, accept: String?, answer: WireFormat) {
        var request = Request(method: .post, target: "/")
        request.headers[.accept] = accept
        #expect(format.answering(request) == answer)
    }

    @Test(arguments: [
        ("plain", "plain"), ("", ""), ("100%", "100%25"), ("a\r\nb", "a%0D%0Ab"), ("é☺", "%C3%A9%E2%98%BA"),
        ("\u{7F}", "%7F"), ("~ ~", "~ ~"),
        (" ", "%20"), ("  ", "%20%20"), (" a", "%20a"), ("a ", "a%20"), ("  a b  ", "%20 a b %20"), ("a\t", "a%09"),
    ]) func `A status message is percent-encoded except for printable ASCII`(text: String, encoded: String) {
        #expect(GRPCStatus.percentEncoded(text) == encoded)
    }

    @Test func `The cause of an error is not disclosed to the client`() {
        let inner = RPCError(
            code: .internalError, message: "secret",
            metadata: ["x-secret": "1", "grpc-status-details-bin": .binary([1])])
        let outer = GRPCStatus(AppError(.unavailable, "Unavailable.", cause: inner), domain: "d", requestID: "r")
        #expect(outer.fields == [.grpcStatus: "14", .init("grpc-message")!: "Unavailable."])
        #expect(GRPCStatus(inner, domain: "d", requestID: "r").fields[.init("x-secret")!] == "1")
    }

    @Test func `The details and message of an error are limited in size`() throws {
        let failures = (0..<10_000).map {
            ValidationFailure(pointer: "/items/\($0)/name", code: "too_short", message: "must have 1 to 80 characters")
        }
        var error = AppError(failures: failures)
        #expect(try #require(GRPCStatus(error, domain: "d", requestID: "r").details).count < 4096)
        error.details.metadata = ["x": String(repeating: "y", count: 10_000)]
        #expect(try #require(GRPCStatus(error, domain: "d", requestID: "r").details).count < 4096)
    }

    @Test(
        arguments: [
            (String(repeating: "x", count: 1024), 1024), (String(repeating: "x", count: 1025), 1024),
            ("x" + String(repeating: "é", count: 1000), 1023), ("xx" + String(repeating: "😈", count: 1000), 1022),
            // A letter with a combining mark is one character of three bytes.
            ("xx" + String(repeating: "e\u{301}", count: 1000), 1022),
            // One character alone is over the limit.
            ("e" + String(repeating: "\u{301}", count: 1000), 1023),
        ] as [(String, Int)])
    func `A status message over the limit is cut between characters`(text: String, count: Int) {
        let message = GRPCStatus(AppError(.internal, text), domain: "d", requestID: "r").message
        #expect(message.utf8.count == count)
        #expect(text.utf8.starts(with: message.utf8))
    }

    @Test func `The path of an invalid field is split at slashes, whatever follows them`() throws {
        let pointer = "/items/2/\u{301}a~1\u{301}b~0c"
        let error = AppError(failures: [ValidationFailure(pointer: pointer, code: "x", message: "y")])
        let details = try #require(GRPCStatus(error, domain: "d", requestID: "r").details)
        let status = try GoogleRPCStatus(serializedBytes: details)
        let violation = status.details.compactMap(\.badRequest).first?.violations.first
        #expect(violation.map { Array($0.field.utf8) } == Array("items[2].\u{301}a/\u{301}b~c".utf8))
    }

    @Test func `An unsupported encoding is rejected with a list of the supported ones`() throws {
        let error = try #require(#expect(throws: AppError.self) { try MessageEncoding(named: "middle-out") })
        let fields = GRPCStatus(error, domain: "d", requestID: "r").fields
        #expect(fields[.init("grpc-accept-encoding")!] == "identity, gzip")
    }

    @Test func `Base64 is decoded in segments, each of which may end with padding`() async throws {
        var decoder = Base64Text()
        var bytes: [UInt8] = []
        for character in "AAEC" + "AwQ=" + "BQ==" + "BgcI" {
            bytes += try decoder.decode(ByteBuffer(string: String(character))).readableBytesView
        }
        try decoder.finish()
        #expect(bytes == Array(0...8))
        let whole = try await Base64Text.decode(ByteBuffer(string: "AAECAwQ=BQ==BgcI"))
        #expect(Array(whole.readableBytesView) == Array(0...8))
    }

    @Test(arguments: ["A", "AA", "AAA", "AAAA!AAA", "====", "A===", "=AAA"]) func `Invalid base64 is rejected`(
        text: String
    ) async {
        let error = await #expect(throws: AppError.self) { try await Base64Text.decode(ByteBuffer(string: text)) }
        #expect(error?.code == .internal)
    }
}
