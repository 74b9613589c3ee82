import ApusCore
import AsyncHTTPClient
import FoundationEssentials
import HTTPTypes
import Logging
import NIOHTTP1
import ServiceContextModule

extension HTTPClient {
    /// Sends a request, with retries as configured.
    /// - Parameters:
    ///   - isReplayable: Whether the body can be sent more than once.
    ///   - execute: Sends the request once, within the given timeout, and returns the response.
    func perform<Value: ClientResponseHead>(
        _ method: HTTPRequest.Method, _ url: String, _ headers: HTTPFields, _ body: HTTPClientRequest.Body?,
        isReplayable: Bool, _ execute: @escaping @Sendable (HTTPClientRequest, Duration) async throws -> Value
    ) async throws -> Value {
        guard let address = URL(string: url), let host = address.host(), !host.isEmpty,
            ["http", "https"].contains(address.scheme?.lowercased())
        else {
            throw AppError(.invalidArgument, "\"\(url.prefix(128))\" is not an absolute http or https URL with a host.")
        }
        let server = address.port.map { "\(host):\($0)" } ?? host
        var deadline = Deadline.after(configuration.timeout)
        if let outer = ServiceContext.current?.deadline { deadline = min(deadline, outer) }
        var request = HTTPClientRequest(url: url)
        request.method = HTTPMethod(rawValue: method.rawValue)
        for field in headers { request.headers.add(name: field.name.rawName, value: field.value) }
        request.body = body
        let isIdempotent = method.isIdempotent || headers.contains(.idempotencyKey)
        budget.deposit()
        var attempt = 0
        while true {
            attempt += 1
            let outcome = try await self.attempt(request, breakers.breaker(for: server), deadline, execute)
            guard case .retry(let retryAfter, let isUnsent) = outcome.advice,
                attempt < configuration.retries.maximumAttempts, isReplayable, isUnsent || isIdempotent
            else { return try outcome.result.get() }
            let delay = max(retryAfter ?? .zero, configuration.retries.delay(after: attempt))
            guard delay < deadline.remaining, budget.withdraw() else { return try outcome.result.get() }
            logger.debug(
                "An outgoing request is retried.",
                metadata: ["host": .string(host), "attempt": .stringConvertible(attempt + 1)])
            try await clock.sleep(for: delay)
        }
    }
}

extension HTTPRequest.Method {
    /// Whether the method is idempotent (RFC 9110 §9.2.2).
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
