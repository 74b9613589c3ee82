import ApusCore
import ApusHTTP
import AsyncHTTPClient
import FoundationEssentials
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix

/// What an attempt brings, by whose status and fields it is judged.
protocol ClientAnswer: Sendable {
    var status: HTTPResponse.Status { get }
    var headers: HTTPFields { get }
}

extension ClientResponse: ClientAnswer {}

extension HTTPClient {
    /// One attempt: what came of it, and whether another one may help.
    struct Attempt<Value> {
        let result: Result<Value, any Error>
        let advice: Advice
    }

    enum Advice {
        case done
        /// Another one may help, after a wait that was asked for.
        /// - Parameter isSafe: Whether the other side cannot have seen this one.
        case again(after: Duration?, isSafe: Bool)
    }

    func attempt<Value: ClientAnswer>(
        _ call: HTTPClientRequest, _ breaker: CircuitBreaker?, _ deadline: Deadline,
        _ execute: @escaping @Sendable (HTTPClientRequest, Duration) async throws -> Value
    ) async throws -> Attempt<Value> {
        guard deadline.remaining > .zero else { throw Deadline.exceeded }
        let ticket = try breaker?.admit()
        var outcome = CircuitBreaker.Outcome.none
        defer { if let ticket { breaker?.record(outcome, ticket) } }
        do {
            let answer = try await execute(call, min(configuration.attemptTimeout, deadline.remaining))
            outcome = answer.status.kind == .serverError && answer.status != .notImplemented ? .failure : .success
            return Attempt(result: .success(answer), advice: Self.advice(answer))
        } catch let error as AppError where error.details.reason == .bodyTooLarge {
            outcome = .success
            return Attempt(result: .failure(error), advice: .done)
        } catch {
            // It was not the other side that gave up.
            if error is CancellationError || Task.isCancelled || (error as? HTTPClientError) == .cancelled {
                throw deadline.hasPassed ? Deadline.exceeded : CancellationError()
            }
            if (error as? HTTPClientError)?.isCallersFault == true {
                throw AppError(.invalidArgument, "The call cannot be made: \(error).", cause: error)
            }
            outcome = .failure
            if deadline.hasPassed { throw Deadline.exceeded }
            return Attempt(
                result: .failure(AppError(.unavailable, "The other side cannot be reached.", cause: error)),
                advice: .again(after: nil, isSafe: Self.neverArrived(error)))
        }
    }

    /// The whole response, its body included, within so long.
    func response(to call: HTTPClientRequest, within time: Duration, _ limit: Int) async throws -> ClientResponse {
        // Its own limit of time ends with the header.
        try await withDeadline(.after(time)) { [client, logger] in
            let response = try await client.execute(call, timeout: TimeAmount(time), logger: logger)
            do {
                let body = try await response.body.collect(upTo: limit)
                return ClientResponse(
                    status: .init(response.status), headers: HTTPFields(response.headers), body: body)
            } catch is NIOTooManyBytesError {
                throw StreamedResponse.tooLarge(limit)
            }
        }
    }

    private static func advice(_ answer: some ClientAnswer) -> Advice {
        switch answer.status.code {
        // Neither of these was done, says whoever answers so.
        case 429, 503: .again(after: retryAfter(answer.headers[.retryAfter]), isSafe: false)
        case 502, 504: .again(after: nil, isSafe: false)
        default: .done
        }
    }

    /// Seconds, or a date (RFC 9110 §10.2.3).
    static func retryAfter(_ field: String?, now: Int = Int(SystemClock().now.timeIntervalSince1970)) -> Duration? {
        guard let field else { return nil }
        if let seconds = Int(field), (0...86400 * 365).contains(seconds) { return .seconds(seconds) }
        return HTTPDate.parse(field).map { .seconds(max(0, $0 - now)) }
    }

    private static func neverArrived(_ error: any Error) -> Bool {
        if error is NIOConnectionError || error is ChannelError { return true }
        return (error as? HTTPClientError) == .connectTimeout
            || (error as? HTTPClientError) == .getConnectionFromPoolTimeout
    }
}

extension HTTPClientError {
    fileprivate var isCallersFault: Bool {
        [.invalidURL, .emptyHost, .emptyScheme, .invalidHeaderFieldNames([]), .traceRequestWithBody].contains(self)
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
