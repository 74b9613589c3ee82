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

/// Middleware applies to gRPC calls as to other requests.
@Suite(.timeLimit(.minutes(10))) struct MiddlewareTests {
    /// Rejects every request.
    private struct Rejection: Middleware {
        let error: AppError

        func handle(_ request: Request, next: Next) async throws -> Response { throw error }
    }

    private struct Named: Principal {
        let subject: String
    }

    /// Authenticates the caller by the name in a header field.
    private struct Caller: RequestInput {
        func extract(from request: Request) throws -> Named {
            guard let name = request.headers[.init("x-name")!] else {
                throw AppError(.unauthenticated, "The x-name field is missing.", reason: "NO_NAME")
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

    @Test(arguments: CallPath.allCases) func `An error thrown by middleware reaches the client as a status`(
        path: CallPath
    ) async throws {
        let rejection = Rejection(error: AppError(.unauthenticated, "No token.", reason: "NO_TOKEN"))
        try await withInterop(InteropModule(configuration: path.configuration, middleware: [rejection])) {
            client, _ in
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

    @Test func `A rate limit applies to all kinds of requests together`() async throws {
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

    @Test func `A group's input is required of calls, and the service gets the caller`() async throws {
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

    @Test func `Requests to a method's path that are not gRPC calls receive a problem document`() async throws {
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

    @Test func `Streams work behind middleware that wraps the response writer`() async throws {
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

    @Test func `A stream ends when the caller's credentials expire`() async throws {
        struct ShortLived: Middleware {
            func handle(_ request: Request, next: Next) async throws -> Response {
                request.context.principalExpiresIn = .milliseconds(100)
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

    @Test func `A call repeated with its idempotency key runs once and receives the same response`() async throws {
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

    @Test func `A group's body limit does not apply to streams`() async throws {
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

    @Test func `Methods do not appear in the OpenAPI document`() async throws {
        try await App("docs") { InteropModule() }.test(settings: ["docs.enabled": "true"]) { app in
            let text = try await app.client.get("/openapi.json").text
            #expect(text.contains("/hello"))
            #expect(!text.contains("Interop"))
        }
    }
}
