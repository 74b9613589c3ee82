import ApusHTTP
import ApusTesting
import GRPCCore
import HTTPTypes
import NIOCore
import Synchronization
import Testing

@testable import ApusGRPC

/// What a streaming call sends.
@Suite struct StreamedOutputTests {
    private final class Recorder: ResponseBodyWriter {
        let count = Atomic(0)

        func write(_ bytes: ByteBuffer) { count.add(bytes.readableBytes, ordering: .relaxed) }
        func setTrailers(_ trailers: HTTPFields) {}
    }

    @Test func `A cancelled call sends no more messages, even to a client that keeps up`() async throws {
        let recorder = Recorder()
        let request = Request(method: .post, target: "/", headers: [.contentType: "application/grpc"])
        let output = StreamedOutput(recorder, try CallHead(request), GRPCCall(request, isCompressing: false))
        try await output.write(.message(MessageBytes([1])))
        let gate = Gate()
        let call = Task {
            // Ends with the cancellation.
            try? await gate.wait()
            try await output.write(.message(MessageBytes([2])))
        }
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        #expect(recorder.count.load(ordering: .relaxed) == 6)
    }
}
