import ApusHTTP
import ApusServer
import ApusTesting
import HTTPTypes
import NIOCore
import Testing

@Suite(.timeLimit(.minutes(10))) struct UpgradeTests {
    @Test func `A client that has closed its side before the upgrade is read to its end`() async throws {
        let cancelled = Gate()
        try await withServer(routes: { routes in
            routes.get("tunnel") { _ in
                // The client's end cancels the request, and this handler goes on nevertheless.
                await withTaskCancellationHandler {
                    _ = await Task { try? await cancelled.wait() }.value
                } onCancel: {
                    cancelled.open()
                }
                return Response.upgrade(headers: [:]) { stream in
                    var received = ""
                    do {
                        while let bytes = try await stream.read() { received += String(buffer: bytes) }
                        received += ", then the end"
                    } catch {
                        received += ", then \(error)"
                    }
                    try? await stream.write(ByteBuffer(string: received))
                }
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.write("GET /tunnel HTTP/1.1\r\nHost: a\r\n\r\nhello")
            try await connection.closeOutput()
            let answer = try await connection.readToEnd()
            #expect(answer.hasSuffix("hello, then the end"), "\(answer)")
        }
    }
}
