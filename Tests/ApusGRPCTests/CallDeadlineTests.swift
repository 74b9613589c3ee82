import Apus
import ApusCore
import ApusGRPC
import ApusHTTP
import ApusTesting
import InteropService
import NIOCore
import SwiftProtobuf
import Testing

/// The deadline of a call, which applies to whatever the call waits for.
@Suite(.timeLimit(.minutes(10))) struct CallDeadlineTests {
    /// Half of a message of 100 bytes.
    private static let half: [UInt8] = [0, 0, 0, 0, 100] + Array(repeating: 0, count: 50)

    private func framed(_ message: some SwiftProtobuf.Message) throws -> [UInt8] {
        let bytes: [UInt8] = try message.serializedBytes()
        return [0] + withUnsafeBytes(of: UInt32(bytes.count).bigEndian, Array.init) + bytes
    }

    @Test(
        arguments: CallPath.allCases, ["UnaryCall", "StreamingInputCall", "StreamingOutputCall", "FullDuplexCall"])
    func `A call ends at its deadline while a message is arriving`(path: CallPath, method: String) async throws {
        try await App("interop") { InteropModule(configuration: path.configuration) }.test(.socket) { app in
            let call = RawCall(method: method, fields: [("grpc-timeout", "50m")], body: Self.half)
            let end = try await call.end(port: #require(app.port))
            #expect(end.fields["grpc-status"] == "4")
            #expect(end.fields["grpc-message"] == "The request exceeded its deadline.")
            #expect(end.fields["content-type"] == "application/grpc")
            #expect(end.reset == nil)
        }
    }

    @Test(arguments: CallPath.allCases, ["UnaryCall", "StreamingOutputCall", "FullDuplexCall"])
    func `A call is reset at its deadline while the client reads nothing`(path: CallPath, method: String) async throws {
        let body =
            try method == "UnaryCall"
            ? framed(Apus_Test_SimpleRequest.with { $0.responseSize = 1000 })
            : framed(
                Apus_Test_OutputRequest.with {
                    // More than the server buffers, so that the service waits as well.
                    $0.responseParameters = (0..<20).map { _ in .with { $0.size = 10_000 } }
                })
        try await App("interop") { InteropModule(configuration: path.configuration) }.test(.socket) { app in
            var end = RawCall.End()
            // On a busy machine, the deadline may pass before there is an answer that could be read.
            for timeout in ["100m", "1S", "10S"] where end.reset == nil {
                let call = RawCall(
                    method: method, fields: [("grpc-timeout", timeout)], window: 0, body: body, isEnd: true)
                end = try await call.end(port: #require(app.port))
            }
            // CANCEL
            #expect(end.reset == 8)
            #expect(end.fields["grpc-status"] == nil)
        }
    }

    @Test(arguments: CallPath.allCases, ["UnaryCall", "FullDuplexCall"])
    func `A call whose deadline has passed is answered without the service`(path: CallPath, method: String) async throws
    {
        let service = InteropService(onSleep: { Issue.record("The service was called.") })
        let body =
            try method == "UnaryCall"
            ? framed(Apus_Test_SimpleRequest.with { $0.sleepMs = 60_000 })
            : framed(
                Apus_Test_OutputRequest.with { $0.responseParameters = [.with { $0.intervalUs = 60_000_000 }] })
        let module = InteropModule(service: service, configuration: path.configuration)
        try await App("interop") { module }.test(.socket) { app in
            let call = RawCall(method: method, fields: [("grpc-timeout", "0n")], body: body, isEnd: true)
            let end = try await call.end(port: #require(app.port))
            #expect(end.fields["grpc-status"] == "4")
        }
    }

    @Test func `The deadline applies to middleware that waits for the message`() async throws {
        struct Collecting: Middleware {
            func handle(_ request: Request, next: Next) async throws -> Response {
                _ = try await request.body.collect()
                return await next(request)
            }
        }
        try await App("interop") { InteropModule(middleware: [Collecting()]) }.test(.socket) { app in
            let call = RawCall(method: "UnaryCall", fields: [("grpc-timeout", "50m")], body: Self.half)
            let end = try await call.end(port: #require(app.port))
            #expect(end.fields["grpc-status"] == "4")
        }
    }

    @Test(arguments: ["UnaryCall", "StreamingInputCall"])
    func `A gRPC-Web call ends at its deadline while its message is arriving`(method: String) async throws {
        try await App("web") { InteropModule() }.test(.socket) { app in
            let connection = try await RawConnection.connect(port: #require(app.port))
            let fields = [
                "POST /apus.test.Interop/\(method) HTTP/1.1", "Host: a", "Content-Type: application/grpc-web",
                "Grpc-Timeout: 50m", "Content-Length: 105",
            ]
            try await connection.write(fields.joined(separator: "\r\n") + "\r\n\r\n")
            try await connection.write(ByteBuffer(bytes: Self.half))
            let answer = try await connection.read(until: "exceeded its deadline.")
            #expect(answer.hasPrefix("HTTP/1.1 200"))
            #expect(answer.lowercased().contains("grpc-status: 4\r\n"))
            connection.close()
        }
    }
}
