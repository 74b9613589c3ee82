import Apus
import ApusCore
import ApusGRPC
import ApusGRPCClient
import ApusHTTP
import ApusRateLimit
import ApusSQLite
import ApusTesting
import FoundationEssentials
import GRPCCore
import GRPCProtobuf
import HTTPTypes
import InteropService
import NIOCore
import SwiftProtobuf
import Testing

/// The middleware of REST is that of gRPC.
@Suite(.timeLimit(.minutes(2))) struct MiddlewareTests {
    /// Refuses everything.
    private struct Refusal: Middleware {
        let error: AppError

        func handle(_ request: Request, next: Next) async throws -> Response { throw error }
    }

    private struct Named: Principal {
        let subject: String
    }

    /// Believes a name.
    private struct Caller: RequestInput {
        func extract(from request: Request) throws -> Named {
            guard let name = request.headers[.init("x-name")!] else {
                throw AppError(.unauthenticated, "Who are you?", reason: "NO_NAME")
            }
            let caller = Named(subject: name)
            request.context.principal = caller
            return caller
        }
    }

    private struct GroupModule: Module {
        func configure(_ app: inout AppBuilder) {
            app.routes { routes in
                routes.group("v1", Caller()) { routes in routes.grpc(InteropService()) }
            }
        }
    }

    @Test(arguments: Way.allCases) func `A refusal of a middleware reaches the client as its status`(way: Way)
        async throws
    {
        let refusal = Refusal(error: AppError(.unauthenticated, "No token.", reason: "NO_TOKEN"))
        try await withInterop(InteropModule(configuration: way.configuration, middleware: [refusal])) { client, _ in
            let unary = await failure { try await client.emptyCall(Empty()) }
            #expect(unary?.code == .unauthenticated)
            #expect(unary?.message == "No token.")
            let status = try unary?.unpackGoogleRPCStatus()
            #expect(status?.details.compactMap(\.errorInfo?.reason) == ["NO_TOKEN"])
            let streamed = await failure {
                try await client.streamingOutputCall(.sizes(1)) { for try await _ in $0.messages {} }
            }
            #expect(streamed?.code == .unauthenticated)
        }
    }

    @Test func `A limit of the rate holds for all kinds of requests together`() async throws {
        let limit = RateLimit(
            .perAddress, RateLimitPolicy(3, per: .seconds(3600)), limiter: MemoryRateLimiter(), name: "test")
        try await withInterop(InteropModule(middleware: [limit])) { client, app in
            #expect(try await app.client.get("/hello").status == .ok)
            _ = try await client.emptyCall(Empty())
            try await client.streamingOutputCall(.sizes(1)) { for try await _ in $0.messages {} }
            #expect(try await app.client.get("/hello").status == .tooManyRequests)
            let error = await failure { try await client.emptyCall(Empty()) }
            #expect(error?.code == .resourceExhausted)
            let delay = try error?.unpackGoogleRPCStatus()?.details.compactMap(\.retryInfo?.delay).first
            #expect(delay.map { $0 > .seconds(1) } == true)
        }
    }

    @Test func `A group's input is asked of calls too, and the service finds who calls`() async throws {
        try await App("group") { GroupModule() }.test(.socket) { app in
            try await withChannel(to: app) { channel in
                let client = InteropClient(wrapping: channel.client)
                let error = await failure { try await client.unaryCall(.with { $0.fillCaller = true }) }
                #expect(error?.code == .unauthenticated)
                let answer = try await client.unaryCall(.with { $0.fillCaller = true }, metadata: ["x-name": "Ada"])
                #expect(answer.caller == "Ada")
            }
        }
    }

    @Test func `Something else than a call gets a problem at a method's path`() async throws {
        try await App("other") { InteropModule() }.test { app in
            let path = "/apus.test.Interop/EmptyCall"
            for type in ["application/json", "application/grpc+json", "text/plain"] {
                let answer = try await app.client.send(.post, path, headers: [.contentType: type])
                #expect(answer.status == .unsupportedMediaType)
                #expect(answer.headers[.contentType] == "application/problem+json")
            }
            #expect(try await app.client.send(.post, path).status == .unsupportedMediaType)
            #expect(try await app.client.get(path).status == .methodNotAllowed)
        }
    }

    @Test func `A middleware that wraps what streams are written to does not end the process`() async throws {
        struct Wrapping: Middleware {
            func handle(_ request: Request, next: Next) async throws -> Response {
                var response = await next(request)
                if case .stream(let length, let produce) = response.body {
                    response.body = .stream(length: length) { try await produce(Wrapped(writer: $0)) }
                }
                return response
            }
        }
        struct Wrapped: ResponseBodyWriter {
            let writer: any ResponseBodyWriter

            func write(_ bytes: ByteBuffer) async throws { try await writer.write(bytes) }
            func setTrailers(_ trailers: HTTPFields) { writer.setTrailers(trailers) }
        }
        try await withInterop(InteropModule(middleware: [Wrapping()])) { client, _ in
            let sizes = try await client.streamingOutputCall(.sizes(3, 4)) { response in
                try await response.messages.reduce(into: []) { $0.append($1.payload.body.count) }
            }
            #expect(sizes == [3, 4])
            let request = Apus_Test_OutputRequest.with { $0.responseStatus.code = 10 }
            let error = await failure {
                try await client.streamingOutputCall(request) { for try await _ in $0.messages {} }
            }
            #expect(error?.code == .aborted)
        }
    }

    @Test func `No stream outlives the credentials of its caller`() async throws {
        struct ShortLived: Middleware {
            func handle(_ request: Request, next: Next) async throws -> Response {
                request.context.principalTimeLeft = .milliseconds(100)
                return await next(request)
            }
        }
        try await withInterop(InteropModule(middleware: [ShortLived()])) { client, _ in
            let request = Apus_Test_OutputRequest.with {
                $0.responseParameters = [.with { $0.size = 1 }, .with { $0.intervalUs = 60_000_000 }]
            }
            let error = await failure {
                try await client.streamingOutputCall(request) { for try await _ in $0.messages {} }
            }
            #expect(error?.code == .unauthenticated)
        }
    }

    @Test func `A call that is repeated with its key is done once, and answered alike with its status`() async throws {
        struct Named: Principal {
            let subject = "ada"
        }
        struct Caller: Middleware {
            func handle(_ request: Request, next: Next) async -> Response {
                request.context.principal = Named()
                return await next(request)
            }
        }
        struct CountingModule: Module {
            func configure(_ app: inout AppBuilder) {
                app.migrations.add(CreateIdempotencyKeys.self)
                app.routes { routes, container in
                    routes.group(Caller(), IdempotencyKeys(try container.resolve())) { $0.grpc(InteropService()) }
                }
            }
        }
        try await App("counting", engines: SQLiteEngine()) { CountingModule() }.test { app in
            let headers: HTTPFields = [
                .contentType: "application/grpc", .init("Idempotency-Key")!: "one", .init("x-echo-initial")!: "1",
            ]
            func call(_ method: String, _ echo: String) async throws -> ApusHTTP.ClientResponse {
                var headers = headers
                headers[.init("x-echo-initial")!] = echo
                return try await app.client.send(
                    .post, "/apus.test.Interop/" + method, headers: headers, body: ByteBuffer(bytes: [0, 0, 0, 0, 0]))
            }
            for echo in ["first", "second"] {
                let answer = try await call("UnaryCall", echo)
                #expect(answer.headers[.init("x-echo-initial")!] == "first")
                #expect(answer.trailers[.grpcStatus] == "0")
                #expect(answer.body.readableBytes >= 5)
            }
            #expect(try await call("FullDuplexCall", "").headers[.grpcStatus] == "3")
        }
    }

    @Test func `A group's limit of bodies is not one of streams`() async throws {
        struct LimitedModule: Module {
            func configure(_ app: inout AppBuilder) {
                app.routes { routes in routes.group(.bodyLimit(1000)) { routes in routes.grpc(InteropService()) } }
            }
        }
        try await App("limited") { LimitedModule() }.test(.socket) { app in
            try await withChannel(to: app) { channel in
                let answer = try await InteropClient(wrapping: channel.client).streamingInputCall { writer in
                    for _ in 0..<10 { try await writer.write(.with { $0.payload.body = Data(count: 500) }) }
                }
                #expect(answer.aggregatedPayloadSize == 5000)
            }
        }
    }

    @Test func `Methods are not part of the API's description`() async throws {
        try await App("docs") { InteropModule() }.test(settings: ["docs.enabled": "true"]) { app in
            let text = try await app.client.get("/openapi.json").text
            #expect(text.contains("/hello"))
            #expect(!text.contains("Interop"))
        }
    }
}
