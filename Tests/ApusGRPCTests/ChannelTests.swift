import Apus
import ApusCore
import ApusGRPC
import ApusHTTP
import ApusTesting
import Foundation
import GRPCCore
import GRPCNIOTransportCore
import GRPCNIOTransportHTTP2Posix
import HTTPTypes
import InMemoryTracing
import InteropService
import Logging
import NIOCore
import SwiftProtobuf
import Synchronization
import Testing
import Tracing

@testable import ApusGRPCClient

/// The client against an Apus server.
@Suite(.timeLimit(.minutes(10))) struct ChannelTests {
    /// Fails the first requests with `unavailable`, and records the timeouts and traces of all requests.
    private final class Flaky: Middleware {
        private let state: Mutex<(failures: Int, timeouts: [String?], traces: [String?])>

        init(failures: Int) { state = Mutex((failures, [], [])) }

        var timeouts: [String?] { state.withLock { $0.timeouts } }
        var traces: [String?] { state.withLock { $0.traces } }

        func handle(_ request: Request, next: Next) async throws -> Response {
            let isFailing = state.withLock { state in
                state.timeouts.append(request.headers[.init("grpc-timeout")!])
                state.traces.append(request.headers[.init(InMemoryTracer.traceIDKey)!])
                state.failures -= 1
                return state.failures >= 0
            }
            if isFailing { throw AppError(.unavailable, "Try again later.") }
            return await next(request)
        }
    }

    private func configuration(repeats: Bool) -> GRPCChannel.Configuration {
        var configuration = GRPCChannel.Configuration()
        configuration.timeout = .seconds(600)
        configuration.retries.baseDelay = .milliseconds(1)
        configuration.mayRepeat = { $0.method == "EmptyCall" && repeats }
        return configuration
    }

    @Test func `A repeatable method is retried while the server is unavailable`() async throws {
        let flaky = Flaky(failures: 2)
        try await withInterop(InteropModule(middleware: [flaky]), configuration(repeats: true)) { client, _ in
            _ = try await client.emptyCall(Empty())
        }
        #expect(flaky.timeouts.count == 3)
    }

    @Test func `A method that may not be repeated is attempted once`() async throws {
        let flaky = Flaky(failures: 1)
        try await withInterop(InteropModule(middleware: [flaky]), configuration(repeats: false)) { client, _ in
            #expect(await failure { try await client.emptyCall(Empty()) }?.code == .unavailable)
        }
        #expect(flaky.timeouts.count == 1)
    }

    @Test func `The current deadline applies to calls and is sent to the server`() async throws {
        let recorder = Flaky(failures: 0)
        try await withInterop(InteropModule(middleware: [recorder]), configuration(repeats: false)) { client, _ in
            _ = try await client.emptyCall(Empty())
            try await withDeadline(.after(.seconds(300))) { _ = try await client.emptyCall(Empty()) }
            let error = await #expect(throws: (any Error).self) {
                try await withDeadline(.after(.milliseconds(50))) {
                    _ = try await client.unaryCall(.with { $0.sleepMs = 60_000 })
                }
            }
            #expect(error.map { AppError(wrapping: $0).code } == .deadlineExceeded)
        }
        let timeouts = try recorder.timeouts.prefix(2).map { try Self.duration(#require($0)) }
        #expect(timeouts[0] > .seconds(300))
        #expect(timeouts[1] <= .seconds(300))
    }

    /// Parses the value of a `grpc-timeout` field.
    private static func duration(_ text: String) throws -> Duration {
        let amount = try #require(Int(text.dropLast()))
        switch text.last {
        case "S": return .seconds(amount)
        case "m": return .milliseconds(amount)
        case "u": return .microseconds(amount)
        default: return .nanoseconds(amount)
        }
    }

    @Test func `The current deadline shortens a call's timeout but never extends it`() async throws {
        let recorder = Flaky(failures: 0)
        try await withInterop(InteropModule(middleware: [recorder])) { client, _ in
            var options = CallOptions.defaults
            options.timeout = .seconds(600)
            try await withDeadline(.after(.seconds(500))) { [options] in
                _ = try await client.emptyCall(Empty(), options: options)
            }
            options.timeout = .seconds(200)
            try await withDeadline(.after(.seconds(500))) { [options] in
                _ = try await client.emptyCall(Empty(), options: options)
            }
        }
        let timeouts = try recorder.timeouts.map { try Self.duration(#require($0)) }
        #expect(timeouts[0] <= .seconds(500))
        #expect(timeouts[1] <= .seconds(200))
    }

    @Test(arguments: [
        (0, "0u"), (-1, "0u"), (1, "1u"), (99_000_000, "99000000u"), (100_000_000, "100000m"),
        (200_000_000_000, "200000S"), (9_000_000_000_000_000, "99999999S"),
    ])
    func `A timeout has at most eight digits`(microseconds: Int, text: String) {
        #expect(ContextPropagation.text(of: .microseconds(microseconds)) == text)
    }

    @Test func `Each attempt is a child span, and the trace context is propagated`() async throws {
        let (flaky, tracer) = (Flaky(failures: 1), InMemoryTracer())
        try await App("interop") { InteropModule(middleware: [flaky]) }.test(.socket) { app in
            let channel = try GRPCChannel(
                "http://127.0.0.1:\(app.port ?? 0)", configuration(repeats: true), tracer: tracer)
            try await run(channel) { channel in
                let client = InteropClient(wrapping: channel.client)
                try await tracer.withSpan("work", context: .topLevel) { _ in _ = try await client.emptyCall(Empty()) }
                let request = Apus_Test_OutputRequest.with {
                    $0.responseParameters = [.with { $0.size = 1 }]
                    $0.responseStatus.code = 10
                }
                let error = await failure {
                    try await client.streamingOutputCall(request) { for try await _ in $0.messages {} }
                }
                #expect(error?.code == .aborted)
            }
        }
        let spans = tracer.finishedSpans
        let calls = spans.filter { $0.operationName == "apus.test.Interop/EmptyCall" }
        #expect(calls.map { $0.status?.code } == [.error, nil])
        #expect(Set(spans.prefix(3).map(\.spanContext.traceID)).count == 1)
        #expect(spans.last?.operationName == "apus.test.Interop/StreamingOutputCall")
        #expect(spans.last?.status?.code == .error)
        #expect(flaky.traces.allSatisfy { $0 != nil })
    }

    @Test func `A call is retried until the server is back`() async throws {
        var configuration = configuration(repeats: false)
        configuration.retries = ApusCore.RetryPolicy(
            maximumAttempts: 1_000_000, baseDelay: .milliseconds(20), maximumDelay: .milliseconds(20))
        try await withReservedPort { port in
            try await run(GRPCChannel("http://127.0.0.1:\(port)", configuration)) { channel in
                let call = Task { try await InteropClient(wrapping: channel.client).emptyCall(Empty()) }
                try await App("back") { InteropModule() }.test(.socket, settings: ["http.port": "\(port)"]) { _ in
                    _ = try await call.value
                }
            }
        }
    }

    @Test func `A call on a stopped client fails with UNAVAILABLE`() async throws {
        try await App("interop") { InteropModule() }.test(.socket) { app in
            let channel = try await withChannel(to: app) { channel in
                _ = try await InteropClient(wrapping: channel.client).emptyCall(Empty())
                return channel
            }
            let error = await #expect(throws: (any Error).self) {
                try await InteropClient(wrapping: channel.client).emptyCall(Empty())
            }
            #expect(error.map { AppError(wrapping: $0).code } == .unavailable)
        }
    }

    @Test func `Calls use TLS, and the server's certificate must be trusted`() async throws {
        let identity = try SelfSigned("localhost")
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (certificate, key) = (folder.appending(path: "tls.crt"), folder.appending(path: "tls.key"))
        try Data(identity.certificate.utf8).write(to: certificate)
        try Data(identity.key.utf8).write(to: key)
        let settings = ["tls.certificate": certificate.path(), "tls.key": key.path()]
        try await App("tls") { InteropModule() }.test(.socket, settings: settings) { app in
            var configuration = GRPCChannel.Configuration()
            configuration.tls.trustRoots = .certificates([.file(path: certificate.path(), format: .pem)])
            let url = "https://localhost:\(app.port ?? 0)"
            try await run(GRPCChannel(url, configuration)) { channel in
                _ = try await InteropClient(wrapping: channel.client).emptyCall(Empty())
            }
            configuration.tls.trustRoots = .systemDefault
            configuration.retries = .never
            try await run(GRPCChannel(url, configuration)) { channel in
                let error = await failure { try await InteropClient(wrapping: channel.client).emptyCall(Empty()) }
                #expect(error?.code == .unavailable)
            }
        }
    }

    @Test func `Calls are distributed over several connections`() async throws {
        var configuration = GRPCChannel.Configuration()
        configuration.connections = 3
        configuration.compressesMessages = true
        try await withInterop(InteropModule(), configuration) { client, _ in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<30 {
                    group.addTask {
                        try await client.unaryCall(.with { $0.responseSize = Int32(number * 1000) }).payload.body.count
                    }
                }
                let sum = try await group.reduce(0, +)
                #expect(sum == 435_000)
            }
        }
    }

    @Test func `A call to an unreachable server fails with UNAVAILABLE`() async throws {
        let channel = try GRPCChannel("http://127.0.0.1:1")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await channel.run() }
            let client = InteropClient(wrapping: channel.client)
            let error = await failure { try await client.emptyCall(Empty()) }
            #expect(error?.code == .unavailable)
            #expect(error.map { AppError(wrapping: $0).code } == .unavailable)
            channel.client.beginGracefulShutdown()
            try await group.waitForAll()
        }
    }

    @Test(arguments: [
        "", "orders:50051", "ftp://orders", "http://", "http://orders/path", "http://orders?x=1", "http://orders#x",
        "http://orders:0", "http://orders:65536", "http://user@orders", "http://user:hunter2@orders", "http://@orders",
    ])
    func `An invalid address is rejected, without repeating a password`(url: String) {
        let error = #expect(throws: AppError.self) { _ = try GRPCChannel(url) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("hunter2") == false)
    }

    @Test func `An upstream RPCError determines the HTTP status`() async throws {
        struct UpstreamModule: Module {
            func configure(_ app: inout AppBuilder) {
                app.routes { routes in
                    routes.get("orders") { () async throws -> String in
                        throw RPCError(code: .unavailable, message: "The order service is unavailable.")
                    }
                }
            }
        }
        try await App("upstream") { UpstreamModule() }.test { app in
            let answer = try await app.client.get("/orders")
            #expect(answer.status == .serviceUnavailable)
        }
    }
}
