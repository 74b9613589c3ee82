import ApusCore
import ApusHTTP
import AsyncHTTPClient
import FoundationEssentials
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix

/// A response with the status and header fields that determine whether the request is retried.
protocol ClientResponseHead: Sendable {
    var status: HTTPResponse.Status { get }
    var headers: HTTPFields { get }
}

extension ClientResponse: ClientResponseHead {}

extension HTTPClient {
    /// The result of one attempt, and whether a retry may help.
    struct Attempt<Value> {
        let result: Result<Value, any Error>
        let advice: RetryAdvice
    }

    enum RetryAdvice {
        case doNotRetry
        /// A retry may help.
        /// - Parameters:
        ///   - after: The delay that the server asked for.
        ///   - isUnsent: Whether the request cannot have reached the server.
        case retry(after: Duration?, isUnsent: Bool)
    }

    func attempt<Value: ClientResponseHead>(
        _ request: HTTPClientRequest, _ breaker: CircuitBreaker?, _ deadline: Deadline,
        _ execute: @escaping @Sendable (HTTPClientRequest, Duration) async throws -> Value
    ) async throws -> Attempt<Value> {
        guard deadline.remaining > .zero else { throw Deadline.exceeded }
        let ticket = try breaker?.admit()
        var outcome = CircuitBreaker.Outcome.none
        defer { if let ticket { breaker?.record(outcome, ticket) } }
        do {
            let response = try await execute(request, min(configuration.attemptTimeout, deadline.remaining))
            outcome = response.status.kind == .serverError && response.status != .notImplemented ? .failure : .success
            return Attempt(result: .success(response), advice: retryAdvice(for: response))
        } catch let error as AppError where error.details.reason == .bodyTooLarge {
            outcome = .success
            return Attempt(result: .failure(error), advice: .doNotRetry)
        } catch {
            // Cancelled on this side, which says nothing about the server.
            if error is CancellationError || Task.isCancelled || (error as? HTTPClientError) == .cancelled {
                throw deadline.hasPassed ? Deadline.exceeded : CancellationError()
            }
            if (error as? HTTPClientError)?.isInvalidRequest == true {
                throw AppError(.invalidArgument, "The request is invalid: \(error).", cause: error)
            }
            outcome = .failure
            if deadline.hasPassed { throw Deadline.exceeded }
            return Attempt(
                result: .failure(
                    AppError(.unavailable, "The server could not be reached or did not respond in time.", cause: error)),
                advice: .retry(after: nil, isUnsent: Self.isUnsent(error)))
        }
    }

    /// Sends a request and returns the response with its complete body.
    /// - Throws: `Deadline.exceeded` if the body is not complete when the timeout passes; an `AppError` with code
    ///   `outOfRange` if the body exceeds the limit.
    func response(to request: HTTPClientRequest, timeout: Duration, limit: Int) async throws -> ClientResponse {
        // The timeout of AsyncHTTPClient covers only the response head.
        try await withDeadline(.after(timeout)) { [client, logger] in
            let response = try await client.execute(request, timeout: TimeAmount(timeout), logger: logger)
            do {
                let body = try await response.body.collect(upTo: limit)
                return ClientResponse(
                    status: .init(response.status), headers: HTTPFields(response.headers), body: body)
            } catch is NIOTooManyBytesError {
                throw StreamedResponse.tooLarge(limit)
            }
        }
    }

    private func retryAdvice(for response: some ClientResponseHead) -> RetryAdvice {
        switch response.status.code {
        // The request was rejected, and the server may say when to retry.
        case 429, 503:
            .retry(after: Self.retryAfter(response.headers[.retryAfter], now: clock.now), isUnsent: false)
        case 502, 504: .retry(after: nil, isUnsent: false)
        default: .doNotRetry
        }
    }

    /// Returns the delay given by a `Retry-After` field, in seconds or as a date (RFC 9110 §10.2.3).
    static func retryAfter(_ field: String?, now: Date) -> Duration? {
        guard let field else { return nil }
        guard field.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return HTTPDate.parse(field).map { .seconds(max(0, $0 - Int(now.timeIntervalSince1970))) }
        }
        return Int(field).flatMap { $0 <= 86400 * 365 ? .seconds($0) : nil }
    }

    /// Returns whether the error means that the request cannot have reached the server.
    private static func isUnsent(_ error: any Error) -> Bool {
        if error is NIOConnectionError { return true }
        // Other errors of channels, such as one at its end, may come after the request was sent.
        if case .connectTimeout? = error as? ChannelError { return true }
        return (error as? HTTPClientError) == .connectTimeout
            || (error as? HTTPClientError) == .getConnectionFromPoolTimeout
    }
}

extension HTTPClientError {
    fileprivate var isInvalidRequest: Bool {
        [.invalidURL, .emptyHost, .emptyScheme, .traceRequestWithBody].contains(self)
    }
}

extension HTTPResponse.Status {
    init(_ status: HTTPResponseStatus) { self.init(code: Int(status.code), reasonPhrase: status.reasonPhrase) }
}

extension HTTPFields {
    init(_ headers: HTTPHeaders) {
        self.init()
        for (name, value) in headers {
            guard let name = HTTPField.Name(name) else { continue }
            append(HTTPField(name: name, value: value))
        }
    }
}
