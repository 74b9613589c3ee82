import ApusCore
import ApusHTTP
import HTTPTypes
import Logging
import NIOCore
import Synchronization
import Testing

@Suite struct MiddlewareTests {
    private func request(_ headers: RequestHeaders = [:], _ method: HTTPRequest.Method = .get) -> Request {
        Request(method: method, target: "/x", headers: headers)
    }

    private let id = HTTPField.Name("X-Request-Id")!

    @Test func `A good request id is kept`() async throws {
        let response = try await RequestID().handle(request([id: "abc-1_2.3"])) { .text($0.context.id) }
        #expect(response.headers[id] == "abc-1_2.3")
    }

    @Test(arguments: ["", "a b", "a\"b", "é", String(repeating: "x", count: 65)])
    func `A bad request id is replaced`(bad: String) async throws {
        let response = try await RequestID().handle(request([id: bad])) { .text($0.context.id) }
        #expect(response.headers[id] != bad)
        #expect(response.headers[id]?.isEmpty == false)
    }

    @Test func `An unknown error becomes a problem document that shows nothing inside`() async throws {
        struct Leak: Error { let secret = "hunter2" }
        let response = try await ErrorRendering().handle(request()) { _ in throw Leak() }
        guard let bytes = response.body.buffer else { Issue.record("No body."); return }
        #expect(response.status == .internalServerError)
        #expect(!String(buffer: bytes).contains("hunter2"))
    }

    @Test(arguments: StatusCode.allCases) func `Every code has a status, a problem document and a close code`(
        code: StatusCode
    ) {
        let response = Response(problem: AppError(code, "What happened."))
        #expect(response.status.code >= 400)
        #expect(response.headers[.contentType] == "application/problem+json")
        #expect([1000, 1007, 1008, 1011, 1013].contains(code.webSocketCloseCode))
    }

    @Test func `The canonical codes map to HTTP as the table says`() {
        let expected: [StatusCode: Int] = [
            .ok: 200, .cancelled: 499, .unknown: 500, .invalidArgument: 400, .deadlineExceeded: 504, .notFound: 404,
            .alreadyExists: 409, .permissionDenied: 403, .resourceExhausted: 429, .failedPrecondition: 409,
            .aborted: 409,
            .outOfRange: 400, .unimplemented: 501, .internal: 500, .unavailable: 503, .dataLoss: 500,
            .unauthenticated: 401,
        ]
        for code in StatusCode.allCases { #expect(code.httpStatus.code == expected[code]) }
    }

    @Test func `Retry-After and WWW-Authenticate go with their errors`() {
        let busy = Response(problem: AppError(.unavailable, "Busy.", retryAfter: .milliseconds(1200)))
        #expect(busy.headers[.retryAfter] == "2")
        #expect(Response(problem: AppError(.unauthenticated, "Who?")).headers[.wwwAuthenticate] == "Bearer")
    }

    @Test func `Past a timeout the client receives 504`() async throws {
        let chain: Handler = { request in
            try await Timeout(.milliseconds(1)).handle(request) { _ in
                try await Task.sleep(for: .seconds(3600))
                return .text("late")
            }
        }
        #expect(try await ErrorRendering().handle(request(), next: chain).status == .gatewayTimeout)
    }

    @Test func `Security fields are added and those of the handler are left alone`() async throws {
        let response = try await SecurityHeaders().handle(request()) { _ in
            Response(status: .ok, headers: [.contentSecurityPolicy: "default-src 'self'"])
        }
        #expect(response.headers[.contentSecurityPolicy] == "default-src 'self'")
        #expect(response.headers[.xContentTypeOptions] == "nosniff")
    }

    @Test func `A preflight of a known origin is answered, one of another is not allowed`() async throws {
        let cors = CORS(origins: .only(["https://app.example"]))
        func preflight(_ origin: String) async throws -> Response {
            try await cors.handle(request([.origin: origin, .accessControlRequestMethod: "PUT"], .options)) { _ in
                Issue.record("A preflight does not reach the handler.")
                return Response(status: .ok)
            }
        }
        #expect(try await preflight("https://app.example").headers[.accessControlAllowOrigin] == "https://app.example")
        #expect(try await preflight("https://evil.example").headers[.accessControlAllowOrigin] == nil)
        let plain = try await cors.handle(request([.origin: "https://app.example"])) { _ in Response(status: .ok) }
        #expect(plain.headers[.accessControlExposeHeaders]?.contains("X-Request-Id") == true)
        #expect(plain.headers[.vary] == "Origin")
    }
}
