import Apus
import ApusCore
import ApusGRPC
import ApusGRPCClient
import ApusHTTP
import ApusTesting
import GRPCCore
import HTTPTypes
import InteropService
import Logging
import NIOCore
import SwiftProtobuf
import Synchronization
import Testing

/// The client, against a server of ours.
@Suite(.timeLimit(.minutes(2))) struct ChannelTests {
    /// Answers `unavailable` so often, and notes what it was asked.
    private final class Flaky: Middleware {
        private let state: Mutex<(failures: Int, timeouts: [String?])>

        init(failures: Int) { state = Mutex((failures, [])) }

        var timeouts: [String?] { state.withLock { $0.timeouts } }

        func handle(_ request: Request, next: Handler) async throws -> Response {
            let isFailing = state.withLock { state in
                state.timeouts.append(request.headers[.init("grpc-timeout")!])
                state.failures -= 1
                return state.failures >= 0
            }
            if isFailing { throw AppError(.unavailable, "Not now.") }
            return try await next(request)
        }
    }

    private func configuration(repeats: Bool) -> GRPCChannel.Configuration {
        var configuration = GRPCChannel.Configuration()
        configuration.retries.baseDelay = .milliseconds(1)
        configuration.mayRepeat = { $0.method == "EmptyCall" && repeats }
        return configuration
    }

    @Test func `What may be repeated is, when the server is not available`() async throws {
        let flaky = Flaky(failures: 2)
        try await withInterop(InteropModule(middleware: [flaky]), configuration(repeats: true)) { client, _ in
            _ = try await client.emptyCall(Empty())
        }
        #expect(flaky.timeouts.count == 3)
    }

    @Test func `What may not be repeated is asked once`() async throws {
        let flaky = Flaky(failures: 1)
        try await withInterop(InteropModule(middleware: [flaky]), configuration(repeats: false)) { client, _ in
            #expect(await failure { try await client.emptyCall(Empty()) }?.code == .unavailable)
        }
        #expect(flaky.timeouts.count == 1)
    }

    @Test func `The deadline of the work at hand holds for calls, and the server is told`() async throws {
        let noting = Flaky(failures: 0)
        try await withInterop(InteropModule(middleware: [noting])) { client, _ in
            _ = try await client.emptyCall(Empty())
            try await withDeadline(.after(.seconds(5))) { _ = try await client.emptyCall(Empty()) }
            let error = await #expect(throws: (any Error).self) {
                try await withDeadline(.after(.milliseconds(50))) {
                    _ = try await client.unaryCall(.with { $0.sleepMs = 60_000 })
                }
            }
            #expect(error.map { AppError(wrapping: $0).code } == .deadlineExceeded)
        }
        let timeouts = try noting.timeouts.prefix(2).map { try Self.duration(#require($0)) }
        #expect(timeouts[0] > .seconds(20))
        #expect(timeouts[1] <= .seconds(5))
    }

    /// Of a field, in its largest units.
    private static func duration(_ text: String) throws -> Duration {
        let amount = try #require(Int(text.dropLast()))
        switch text.last {
        case "S": return .seconds(amount)
        case "m": return .milliseconds(amount)
        case "u": return .microseconds(amount)
        default: return .nanoseconds(amount)
        }
    }

    @Test func `Several connections share the calls`() async throws {
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

    @Test func `A server that is not there is unavailable`() async throws {
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

    @Test(arguments: ["", "orders:50051", "ftp://orders", "http://", "http://orders/path", "http://orders?x=1"])
    func `An address that is none is refused`(url: String) {
        let error = #expect(throws: AppError.self) { _ = try GRPCChannel(url) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func `An error of an upstream has its code for clients of HTTP, too`() async throws {
        struct UpstreamModule: Module {
            func configure(_ app: inout AppBuilder) {
                app.routes { routes in
                    routes.get("orders") { () async throws -> String in
                        throw RPCError(code: .unavailable, message: "The orders are away.")
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
