import ApusCore
import ApusGRPC
import ApusGRPCClient
import ApusHTTP
import ApusTesting
import FoundationEssentials
import GRPCCore
import GRPCProtobuf
import HTTPTypes
import InteropService
import NIOCore
import SwiftProtobuf
import Synchronization
import Testing

/// Calls from a gRPC client, by both paths through the server.
@Suite(.timeLimit(.minutes(10))) struct CallTests {
    private static let sizes: [Int32] = [31415, 9, 2653, 58979]

    @Test(arguments: CallPath.allCases) func `A unary call exchanges one message each way, empty or large`(
        path: CallPath
    ) async throws {
        try await withInterop(path) { client, _ in
            #expect(try await client.emptyCall(Empty()) == Empty())
            let answer = try await client.unaryCall(
                .with {
                    $0.responseSize = 314159
                    $0.payload.body = Data(count: 271828)
                })
            #expect(answer.payload.body == Data(count: 314159))
        }
    }

    @Test(arguments: CallPath.allCases) func `A client stream receives one response`(path: CallPath) async throws {
        try await withInterop(path) { client, _ in
            let answer = try await client.streamingInputCall { writer in
                for size in [27182, 8, 1828, 45904] {
                    try await writer.write(.with { $0.payload.body = Data(count: size) })
                }
            }
            #expect(answer.aggregatedPayloadSize == 74922)
            let empty = try await client.streamingInputCall { _ in }
            #expect(empty.aggregatedPayloadSize == 0)
        }
    }

    @Test(arguments: CallPath.allCases) func `One request receives a stream of responses`(path: CallPath) async throws {
        try await withInterop(path) { client, _ in
            let sizes = try await client.streamingOutputCall(.sizes(31415, 9, 2653, 58979)) { response in
                var sizes: [Int] = []
                for try await message in response.messages { sizes.append(message.payload.body.count) }
                return sizes
            }
            #expect(sizes == Self.sizes.map(Int.init))
        }
    }

    @Test(arguments: CallPath.allCases) func `A bidirectional stream exchanges messages in lockstep`(path: CallPath)
        async throws
    {
        try await withInterop(path) { client, _ in
            let (answers, continuation) = AsyncStream.makeStream(of: Void.self)
            let sizes = try await client.fullDuplexCall { writer in
                var iterator = answers.makeAsyncIterator()
                for size in Self.sizes {
                    try await writer.write(.sizes(size))
                    await iterator.next()
                }
            } onResponse: { response in
                var sizes: [Int32] = []
                for try await message in response.messages {
                    sizes.append(Int32(message.payload.body.count))
                    continuation.yield()
                }
                return sizes
            }
            #expect(sizes == Self.sizes)
            let count = try await client.fullDuplexCall { _ in
            } onResponse: { response in
                try await response.messages.reduce(0) { count, _ in count + 1 }
            }
            #expect(count == 0)
        }
    }

    @Test(arguments: CallPath.allCases) func `Initial and trailing metadata are exchanged`(path: CallPath) async throws
    {
        try await withInterop(path) { client, _ in
            let sent: Metadata = ["x-echo-initial": "a, b", "x-echo-trailing-bin": .binary([0xAB, 0, 0xFF])]
            let (initial, trailing) = try await client.unaryCall(Apus_Test_SimpleRequest(), metadata: sent) {
                response in
                (response.metadata, response.trailingMetadata)
            }
            #expect(Array(initial[stringValues: "x-echo-initial"]) == ["a, b"])
            #expect(Array(trailing[binaryValues: "x-echo-trailing-bin"]) == [[0xAB, 0, 0xFF]])
            let streamed = try await client.fullDuplexCall(metadata: sent) { _ in
            } onResponse: { response in
                var trailing: Metadata = [:]
                for try await part in try response.accepted.get().bodyParts {
                    if case .trailingMetadata(let metadata) = part { trailing = metadata }
                }
                return (response.metadata, trailing)
            }
            #expect(Array(streamed.0[stringValues: "x-echo-initial"]) == ["a, b"])
            #expect(Array(streamed.1[binaryValues: "x-echo-trailing-bin"]) == [[0xAB, 0, 0xFF]])
        }
    }

    @Test(arguments: CallPath.allCases) func `A status has its code and message, with any characters`(path: CallPath)
        async throws
    {
        let messages = [
            "test status message", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n", "100 %41",
        ]
        try await withInterop(path) { client, _ in
            for message in messages {
                let status = Apus_Test_EchoStatus.with {
                    $0.code = 2
                    $0.message = message
                }
                let unary = await failure { try await client.unaryCall(.with { $0.responseStatus = status }) }
                #expect(unary?.code == .unknown && unary?.message == message)
                let request = Apus_Test_OutputRequest.with { $0.responseStatus = status }
                let streamed = await failure { try await stream(request, client) }
                #expect(streamed?.code == .unknown && streamed?.message == message)
            }
        }
    }

    /// Sends one message and reads all responses.
    private func stream(
        _ request: Apus_Test_OutputRequest, _ client: InteropClient, _ options: CallOptions = .defaults
    ) async throws {
        try await client.fullDuplexCall(options: options) { writer in
            try await writer.write(request)
        } onResponse: { response in
            for try await _ in response.messages {}
        }
    }

    @Test(arguments: CallPath.allCases) func `A failed stream delivers the messages sent before the failure`(
        path: CallPath
    ) async throws {
        try await withInterop(path) { client, _ in
            let request = Apus_Test_OutputRequest.with {
                $0.responseParameters = [.with { $0.size = 5 }]
                $0.responseStatus.code = 10
            }
            let received = Mutex(0)
            let error = await failure {
                try await client.streamingOutputCall(request) { response in
                    for try await message in response.messages {
                        received.withLock { $0 += message.payload.body.count }
                    }
                }
            }
            #expect(received.withLock { $0 } == 5)
            #expect(error?.code == .aborted)
        }
    }

    @Test(arguments: CallPath.allCases) func `A call fails when its deadline is exceeded`(path: CallPath) async throws {
        try await withInterop(path) { client, app in
            var options = CallOptions.defaults
            options.timeout = .milliseconds(50)
            let unary = await failure {
                try await client.unaryCall(.with { $0.sleepMs = 60_000 }, options: options)
            }
            #expect(unary?.code == .deadlineExceeded)
            let request = Apus_Test_OutputRequest.with {
                $0.responseParameters = [.with { $0.intervalUs = 60_000_000 }]
            }
            let streamed = await failure { try await stream(request, client, options) }
            #expect(streamed?.code == .deadlineExceeded)
        }
    }

    @Test(arguments: CallPath.allCases) func `A call is cancelled when the client cancels it`(path: CallPath)
        async throws
    {
        let (isSleeping, isCancelled) = (Gate(), Gate())
        let service = InteropService(onSleep: isSleeping.open, onCancel: isCancelled.open)
        try await withInterop(InteropModule(service: service, configuration: path.configuration)) { client, _ in
            let call = Task { try await client.unaryCall(.with { $0.sleepMs = 60_000 }) }
            try await isSleeping.wait()
            call.cancel()
            try await isCancelled.wait()
            _ = await call.result
        }
    }

    @Test func `A stream is cancelled when the client cancels it, even after the server's request deadline`()
        async throws
    {
        let (isSleeping, isCancelled) = (Gate(), Gate())
        let service = InteropService(onSleep: isSleeping.open, onCancel: isCancelled.open)
        try await withInterop(InteropModule(service: service), settings: ["http.request-deadline": "10ms"]) {
            client, app in
            let request = Apus_Test_OutputRequest.with {
                $0.responseParameters = [.with { $0.intervalUs = 20_000 }, .with { $0.intervalUs = 60_000_000 }]
            }
            let (answers, continuation) = AsyncStream.makeStream(of: Void.self)
            let call = Task {
                try await client.streamingOutputCall(request) { response in
                    for try await _ in response.messages { continuation.yield() }
                }
            }
            for await _ in answers { break }
            call.cancel()
            try await isCancelled.wait()
            _ = await call.result
            // The access log is written after the call has ended.
            while !app.logs.lines.contains(where: { $0.contains("grpc_status=") }) { await Task.yield() }
            #expect(app.logs.lines.contains { $0.contains("grpc_status=CANCELLED") })
            #expect(!app.logs.lines.contains { $0.contains("The call failed") })
        }
    }

    @Test(arguments: CallPath.allCases) func `Undeclared and unimplemented methods fail with UNIMPLEMENTED`(
        path: CallPath
    ) async throws {
        try await withInterop(path) { client, app in
            let declared = await failure { try await client.unimplementedCall(Empty()) }
            #expect(declared?.code == .unimplemented)
            let other = try await app.client.send(
                .post, "/apus.test.Interop/Nothing", headers: [.contentType: "application/grpc"])
            #expect(other.headers[.grpcStatus] == "12")
            #expect(other.status == .ok)
        }
    }

    @Test(arguments: CallPath.allCases) func `A message over the limit is rejected, before and after decompression`(
        path: CallPath
    ) async throws {
        var module = InteropModule(configuration: path.configuration)
        module.configuration.maximumMessageBytes = 1000
        try await withInterop(module) { client, _ in
            func send(_ count: Int, _ compression: CompressionAlgorithm) async -> RPCError? {
                var options = CallOptions.defaults
                options.compression = compression
                return await failure { [options] in
                    try await client.unaryCall(.with { $0.payload.body = Data(count: count) }, options: options)
                }
            }
            #expect(await send(990, .none) == nil)
            #expect(await send(1000, .none)?.code == .resourceExhausted)
            #expect(await send(990, .gzip) == nil)
            #expect(await send(100_000, .gzip)?.code == .resourceExhausted)
            let streamed = await failure {
                try await client.streamingInputCall {
                    try await $0.write(.with { $0.payload.body = Data(count: 1000) })
                }
            }
            #expect(streamed?.code == .resourceExhausted)
        }
    }

    @Test(arguments: CallPath.allCases) func `An AppError arrives with its details`(path: CallPath) async throws {
        try await withInterop(path) { client, _ in
            let error = await failure { try await client.unaryCall(.with { $0.failure = "app" }) }
            #expect(error?.code == .aborted)
            #expect(error?.message == "Another driver took this order.")
            let details = try error?.unpackGoogleRPCStatus()?.details ?? []
            #expect(
                details.compactMap(\.errorInfo) == [
                    .init(reason: "ORDER_TAKEN", domain: "interop", metadata: ["order": "7"])
                ])
            #expect(details.compactMap(\.retryInfo) == [.init(delay: .seconds(2))])
            let fields = await failure { try await client.unaryCall(.with { $0.failure = "fields" }) }
            #expect(fields?.code == .invalidArgument)
            let violation = try fields?.unpackGoogleRPCStatus()?.details.compactMap(\.badRequest).first?.violations
                .first
            #expect(violation?.field == "items[0].name")
            #expect(violation?.reason == "TOO_SHORT")
        }
    }

    @Test(arguments: CallPath.allCases) func `An unknown error is logged but not disclosed to the client`(
        path: CallPath
    ) async throws {
        try await withInterop(path) { client, app in
            let error = await failure { try await client.unaryCall(.with { $0.failure = "unknown" }) }
            #expect(error?.code == .internalError)
            #expect(error?.message.contains("hunter2") == false)
            #expect(app.logs.lines.contains { $0.contains("hunter2") })
        }
    }

    @Test(arguments: CallPath.allCases) func `An RPCError keeps its metadata`(path: CallPath) async throws {
        try await withInterop(path) { client, _ in
            let error = await failure { try await client.unaryCall(.with { $0.failure = "other" }) }
            #expect(error?.code == .dataLoss)
            #expect(error.map { Array($0.metadata[stringValues: "x-reason"]) } == ["because"])
            #expect(error.map { Array($0.metadata[binaryValues: "x-bytes-bin"]) } == [[1, 2]])
        }
    }

    @Test(arguments: CallPath.allCases) func `Calls appear in the access log with their status`(path: CallPath)
        async throws
    {
        try await withInterop(path) { client, app in
            _ = try await client.emptyCall(Empty())
            _ = await failure { try await client.unaryCall(.with { $0.failure = "app" }) }
            try await client.streamingOutputCall(.sizes(1)) { for try await _ in $0.messages {} }
            let lines = app.logs.lines.filter { $0.contains("route=/apus.test.Interop") }
            #expect(lines.count { $0.contains("grpc_status=OK") } >= 1)
            #expect(lines.contains { $0.contains("grpc_status=ABORTED") })
        }
    }
}

/// Returns the error of a call, or `nil` if it succeeded.
func failure<Result>(_ call: () async throws -> Result) async -> RPCError? {
    do {
        _ = try await call()
        return nil
    } catch {
        return error as? RPCError
    }
}
