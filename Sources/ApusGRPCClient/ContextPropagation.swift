import ApusCore
import GRPCCore
import Instrumentation
import ServiceContextModule
import Tracing

/// Tells the server what the work at hand is part of, and by when it is worth something.
struct ContextPropagation: ClientInterceptor {
    @concurrent
    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingClientRequest<Input>, context: ClientContext,
        next: @concurrent (StreamingClientRequest<Input>, ClientContext) async throws -> StreamingClientResponse<Output>
    ) async throws -> StreamingClientResponse<Output> {
        var request = request
        if let current = ServiceContext.current {
            InstrumentationSystem.instrument.inject(current, into: &request.metadata, using: MetadataInjector())
        }
        let response = try await next(request, context)
        if case .failure(let error) = response.accepted, let span = ChannelTransport.span {
            span.attributes["rpc.response.status_code"] = String(describing: error.code)
            span.setStatus(SpanStatus(code: .error, message: error.message))
        }
        return response
    }
}

private struct MetadataInjector: Injector {
    func inject(_ value: String, forKey key: String, into metadata: inout Metadata) {
        metadata.replaceOrAddString(value, forKey: key.lowercased())
    }
}
