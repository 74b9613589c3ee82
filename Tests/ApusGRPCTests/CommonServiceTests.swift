import Apus
import ApusCore
import ApusGRPCClient
import ApusHTTP
import ApusTesting
import FoundationEssentials
import GRPCCore
import HTTPTypes
import InteropService
import NIOCore
import SwiftProtobuf
import Synchronization
import Testing

@testable import ApusGRPC

/// The health and reflection services, which every gRPC server has.
@Suite(.timeLimit(.minutes(10))) struct CommonServiceTests {
    private typealias Health = Grpc_Health_V1_Health.Client<ChannelTransport>
    private typealias Reflection = Grpc_Reflection_V1_ServerReflection.Client<ChannelTransport>
    private typealias ReflectionRequest = Grpc_Reflection_V1_ServerReflectionRequest

    @Test func `Health reports the app's readiness for the server and each of its services`() async throws {
        try await withInterop(.direct) { _, app in
            try await withChannel(to: app) { channel in
                let health = Health(wrapping: channel.client)
                for name in ["", "apus.test.Interop"] {
                    let answer = try await health.check(.with { $0.service = name })
                    #expect(answer.status == .serving)
                }
                let unknown = await failure { try await health.check(.with { $0.service = "unknown" }) }
                #expect(unknown?.code == .notFound)
                let all = try await health.list(.init())
                #expect(all.statuses.keys.sorted() == ["", "apus.test.Interop"])
            }
        }
    }

    @Test func `A watcher receives each change and the shutdown`() async throws {
        let isReady = Mutex(true)
        let service = HealthService(services: [], interval: .milliseconds(1)) { isReady.withLock { $0 } }
        let (seen, continuation) = AsyncStream.makeStream(of: Grpc_Health_V1_HealthCheckResponse.self)
        try await withServerContextRPCCancellationHandle { cancellation in
            let context = ServerContext(
                descriptor: Grpc_Health_V1_Health.Method.Watch.descriptor, remotePeer: "", localPeer: "",
                cancellation: cancellation)
            async let watching: Void = service.watch(
                request: .init(), response: RPCWriter(wrapping: Collector(continuation: continuation)), context: context
            )
            var statuses = seen.makeAsyncIterator()
            #expect(await statuses.next()?.status == .serving)
            isReady.withLock { $0 = false }
            #expect(await statuses.next()?.status == .notServing)
            isReady.withLock { $0 = true }
            #expect(await statuses.next()?.status == .serving)
            cancellation.cancel()
            #expect(await statuses.next()?.status == .notServing)
            try await watching
        }
    }

    @Test func `A service gets the caller as the type that it asks for, or an error that says what is missing`()
        async throws
    {
        struct Customer: Principal { let subject = "customer:1" }
        struct Driver: Principal { let subject = "driver:1" }
        try await withServerContextRPCCancellationHandle { cancellation in
            func context(_ call: GRPCCall?) -> ServerContext {
                var context = ServerContext(
                    descriptor: Grpc_Health_V1_Health.Method.Check.descriptor, remotePeer: "", localPeer: "",
                    cancellation: cancellation)
                context.transportSpecific = call
                return context
            }
            let request = Request(method: .post, target: "/")
            let call = context(GRPCCall(request, isCompressing: false))
            for anonymous in [context(nil), call] {
                let error = #expect(throws: AppError.self) { try anonymous.principal(as: Customer.self) }
                #expect(error?.code == .unauthenticated)
            }
            request.context.principal = Customer()
            let customer = try call.principal(as: Customer.self)
            #expect(customer.subject == "customer:1")
            let error = #expect(throws: AppError.self) { try call.principal(as: Driver.self) }
            #expect(error?.code == .permissionDenied)
        }
    }

    @Test func `Concurrent watchers share a readiness check`() async throws {
        let count = Mutex(0)
        let gate = Gate()
        let probe = ReadinessProbe(interval: .seconds(3600), timeout: .seconds(3600)) {
            count.withLock { $0 += 1 }
            try? await gate.wait()
            return true
        }
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for _ in 0..<100 { group.addTask { await probe.check() } }
            gate.open()
            for try await isReady in group { #expect(isReady) }
        }
        #expect(await probe.check())
        #expect(count.withLock { $0 } == 1)
    }

    @Test func `A readiness check that exceeds its timeout counts as not ready`() async throws {
        let service = HealthService(services: [], timeout: .milliseconds(1)) {
            try? await Task.sleep(for: .seconds(3600))
            return true
        }
        try await withServerContextRPCCancellationHandle { cancellation in
            let context = ServerContext(
                descriptor: Grpc_Health_V1_Health.Method.Check.descriptor, remotePeer: "", localPeer: "",
                cancellation: cancellation)
            let answer = try await service.check(request: Grpc_Health_V1_HealthCheckRequest(), context: context)
            #expect(answer.status == .notServing)
            let all = try await service.list(request: Grpc_Health_V1_HealthListRequest(), context: context)
            #expect(all.statuses[""]?.status == .notServing)
        }
        let probe = ReadinessProbe(interval: .seconds(3600), timeout: .milliseconds(1)) {
            try? await Task.sleep(for: .seconds(3600))
            return true
        }
        #expect(await probe.check() == false)
    }

    private struct Collector: RPCWriterProtocol {
        let continuation: AsyncStream<Grpc_Health_V1_HealthCheckResponse>.Continuation

        @concurrent
        func write(_ element: Grpc_Health_V1_HealthCheckResponse) async throws { continuation.yield(element) }

        @concurrent
        func write(contentsOf elements: some Sequence<Grpc_Health_V1_HealthCheckResponse>) async throws {
            for element in elements { continuation.yield(element) }
        }
    }

    private func reflect(_ requests: [ReflectionRequest], _ app: TestApp) async throws
        -> [Grpc_Reflection_V1_ServerReflectionResponse]
    {
        try await withChannel(to: app) { channel in
            try await Reflection(wrapping: channel.client).serverReflectionInfo { writer in
                for request in requests { try await writer.write(request) }
            } onResponse: { response in
                var responses: [Grpc_Reflection_V1_ServerReflectionResponse] = []
                for try await message in response.messages { responses.append(message) }
                return responses
            }
        }
    }

    @Test func `Reflection lists the services and the files that declare them`() async throws {
        try await withInterop(.direct) { _, app in
            let answers = try await reflect(
                [
                    .with { $0.listServices = "" },
                    .with { $0.fileContainingSymbol = "apus.test.Interop.UnaryCall" },
                    .with { $0.fileContainingSymbol = "apus.test.SimpleRequest.response_size" },
                    .with { $0.fileByFilename = "google/protobuf/empty.proto" },
                    .with { $0.fileContainingSymbol = "unknown.Type" },
                    .with { $0.fileByFilename = "unknown.proto" },
                    .with { $0.allExtensionNumbersOfType = "apus.test.Payload" },
                    .with { $0.allExtensionNumbersOfType = "unknown.Type" },
                    ReflectionRequest(),
                ], app)
            #expect(
                answers[0].listServicesResponse.service.map(\.name) == [
                    "apus.test.Interop", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                    "grpc.reflection.v1alpha.ServerReflection",
                ])
            for answer in answers[1...2] {
                let names = try answer.fileDescriptorResponse.fileDescriptorProto.map {
                    try Google_Protobuf_FileDescriptorProto(serializedBytes: $0).name
                }
                #expect(names.prefix(2) == ["interop.proto", "google/api/annotations.proto"])
            }
            #expect(answers[3].fileDescriptorResponse.fileDescriptorProto.count == 1)
            #expect(answers[4].errorResponse.errorCode == 5)
            #expect(answers[5].errorResponse.errorCode == 5)
            #expect(answers[6].allExtensionNumbersResponse.extensionNumber == [])
            #expect(answers[7].errorResponse.errorCode == 5)
            #expect(answers[8].errorResponse.errorCode == 3)
        }
    }

    @Test func `Reflection is enabled in development unless the settings specify otherwise`() async throws {
        for (settings, isEnabled) in [
            (["grpc.reflection": "false"], false), (["grpc.reflection": "true"], true), ([:], true),
        ] {
            try await withInterop(InteropModule(), settings: settings) { _, app in
                let error = await failure { try await reflect([.with { $0.listServices = "" }], app) }
                #expect((error == nil) == isEnabled)
            }
        }
    }

    @Test func `Extensions are found by type and number`() throws {
        let file = Google_Protobuf_FileDescriptorProto.with {
            $0.name = "x.proto"
            $0.package = "x"
            $0.extension = [
                .with {
                    $0.name = "more"; $0.extendee = ".x.Thing"; $0.number = 100
                }
            ]
            $0.messageType = [
                .with {
                    $0.name = "Thing"
                    $0.enumType = [.with { $0.name = "Kind" }]
                    $0.nestedType = [.with { $0.name = "Part" }]
                    $0.extension = [
                        .with {
                            $0.name = "inner"; $0.extendee = ".x.Thing"; $0.number = 101
                        }
                    ]
                }
            ]
        }
        let bytes: Data = try file.serializedBytes()
        let directory = FileDirectory([
            ServedServices(names: ["b", "a"], files: [bytes.base64EncodedString(), "not base64", "AAAA"])
        ])
        #expect(directory.services == ["a", "b"])
        #expect(directory.extensionNumbers(of: "x.Thing") == [100, 101])
        #expect(directory.files(extending: "x.Thing", number: 100)?.count == 1)
        #expect(directory.files(extending: "x.Thing", number: 7) == nil)
        for symbol in ["x.Thing", "x.Thing.Kind", "x.Thing.Part", "x.more", "x.Thing.inner"] {
            #expect(directory.files(declaring: symbol)?.count == 1)
        }
    }
}
