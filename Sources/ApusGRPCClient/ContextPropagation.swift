import ApusCore
import GRPCCore
import ServiceContextModule
import Tracing

/// Sends the current trace context and deadline to the server, and records failures in the span.
struct ContextPropagation: ClientInterceptor {
    let tracer: any Tracer

    @concurrent
    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingClientRequest<Input>, context: ClientContext,
        next: @concurrent (StreamingClientRequest<Input>, ClientContext) async throws -> StreamingClientResponse<Output>
    ) async throws -> StreamingClientResponse<Output> {
        var request = request
        if let current = ServiceContext.current {
            tracer.inject(current, into: &request.metadata, using: MetadataInjector())
        }
        let attempt = ChannelTransport.attempt
        if let timeout = attempt?.loweredTimeout {
            request.metadata.replaceOrAddString(Self.text(of: timeout), forKey: "grpc-timeout")
        }
        var response = try await next(request, context)
        switch response.accepted {
        case .success(var contents):
            guard let span = attempt?.span else { break }
            contents.bodyParts = RPCAsyncSequence(
                wrapping: FailureRecordingParts(parts: contents.bodyParts, span: span))
            response.accepted = .success(contents)
        case .failure(let error): attempt?.span.recordFailure(error)
        }
        return response
    }

    /// Formats a timeout with at most eight digits and a unit (gRPC over HTTP/2, Timeout).
    static func text(of timeout: Duration) -> String {
        let microseconds = max(0, timeout.microseconds)
        guard microseconds > 99_999_999 else { return "\(microseconds)u" }
        let milliseconds = microseconds / 1000
        guard milliseconds > 99_999_999 else { return "\(milliseconds)m" }
        return "\(min(milliseconds / 1000, 99_999_999))S"
    }
}

/// The parts of a response, recording the error that ends it.
private struct FailureRecordingParts<Parts: AsyncSequence & Sendable>: AsyncSequence, Sendable
where Parts.Failure == any Error {
    typealias Element = Parts.Element
    typealias Failure = any Error

    let parts: Parts
    let span: any Span

    func makeAsyncIterator() -> Iterator { Iterator(parts: parts.makeAsyncIterator(), span: span) }

    struct Iterator: AsyncIteratorProtocol {
        var parts: Parts.AsyncIterator
        let span: any Span

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
            do {
                return try await parts.next(isolation: actor)
            } catch {
                if let error = error as? RPCError { span.recordFailure(error) }
                throw error
            }
        }
    }
}

private struct MetadataInjector: Injector {
    func inject(_ value: String, forKey key: String, into metadata: inout Metadata) {
        metadata.replaceOrAddString(value, forKey: key.lowercased())
    }
}
