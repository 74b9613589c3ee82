import ApusCore
import ApusHTTP
import AsyncHTTPClient
import FoundationEssentials
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix

extension HTTPClient {
    /// One attempt: what came of it, and whether another one may help.
    struct Attempt {
        enum Advice {
            case done
            /// Another one may help, after a wait that was asked for.
            /// - Parameter isSafe: Whether the other side cannot have seen this one.
            case again(after: Duration?, isSafe: Bool)
        }

        let result: Result<ClientResponse, any Error>
        let advice: Advice
    }

    func attempt(
        _ call: HTTPClientRequest, _ breaker: CircuitBreaker?, _ deadline: Deadline, _ limit: Int
    ) async throws -> Attempt {
        guard deadline.remaining > .zero else { throw Deadline.exceeded }
        let ticket = try breaker?.admit()
        var outcome = CircuitBreaker.Outcome.none
        defer { if let ticket { breaker?.record(outcome, ticket) } }
        let time = min(configuration.attemptTimeout, deadline.remaining)
        do {
            let response = try await client.execute(call, timeout: TimeAmount(time), logger: logger)
            let body = try await response.body.collect(upTo: limit)
            let answer = ClientResponse(
                status: .init(code: Int(response.status.code), reasonPhrase: response.status.reasonPhrase),
                headers: HTTPFields(response.headers), body: body)
            outcome = answer.status.kind == .serverError && answer.status != .notImplemented ? .failure : .success
            return Attempt(result: .success(answer), advice: Self.advice(answer))
        } catch is NIOTooManyBytesError {
            outcome = .success
            let error = AppError(
                .outOfRange, "The other side answered more than the \(limit) bytes allowed.", reason: .bodyTooLarge)
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

    private static func advice(_ response: ClientResponse) -> Attempt.Advice {
        switch response.status.code {
        // Neither of these was done, says whoever answers so.
        case 429, 503: .again(after: retryAfter(response.headers[.retryAfter]), isSafe: false)
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

extension HTTPFields {
    fileprivate init(_ headers: HTTPHeaders) {
        self.init()
        for (name, value) in headers {
            guard let name = HTTPField.Name(name) else { continue }
            append(HTTPField(name: name, value: value))
        }
    }
}
