import ApusCore
import AsyncHTTPClient
import FoundationEssentials
import HTTPTypes
import Logging
import NIOHTTP1
import ServiceContextModule

extension HTTPClient {
    /// Makes a call, and makes it again where that may help.
    /// - Parameters:
    ///   - mayRepeat: Whether the body can be sent twice.
    ///   - execute: Sends it once, within so long, and brings what is wanted of the response.
    func perform<Value: ClientAnswer>(
        _ method: HTTPRequest.Method, _ url: String, _ headers: HTTPFields, _ body: HTTPClientRequest.Body?,
        mayRepeat: Bool, _ execute: @escaping @Sendable (HTTPClientRequest, Duration) async throws -> Value
    ) async throws -> Value {
        guard let address = URL(string: url), let host = address.host(), !host.isEmpty,
            ["http", "https"].contains(address.scheme?.lowercased())
        else {
            throw AppError(.invalidArgument, "\"\(url.prefix(128))\" is no address of HTTP.")
        }
        var deadline = Deadline.after(configuration.timeout)
        if let outer = ServiceContext.current?.deadline { deadline = min(deadline, outer) }
        var call = HTTPClientRequest(url: url)
        call.method = HTTPMethod(rawValue: method.rawValue)
        for field in headers { call.headers.add(name: field.name.rawName, value: field.value) }
        call.body = body
        let isIdempotent = method.isIdempotent || headers.contains(.idempotencyKey)
        budget.deposit()
        var attempt = 0
        while true {
            attempt += 1
            let outcome = try await self.attempt(call, breakers.breaker(of: host), deadline, execute)
            guard case .again(let wait, let isSafe) = outcome.advice, attempt < configuration.retries.maximumAttempts,
                mayRepeat, isSafe || isIdempotent
            else { return try outcome.result.get() }
            let delay = max(wait ?? .zero, configuration.retries.delay(after: attempt))
            guard delay < deadline.remaining, budget.withdraw() else { return try outcome.result.get() }
            logger.debug(
                "An outgoing call is tried again.",
                metadata: ["host": .string(host), "attempt": .stringConvertible(attempt + 1)])
            try await clock.sleep(for: delay)
        }
    }
}

extension HTTPRequest.Method {
    /// Whether to do it twice is as good as once (RFC 9110 §9.2.2).
    fileprivate var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace: true
        default: false
        }
    }
}

extension HTTPField.Name {
    fileprivate static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
}
