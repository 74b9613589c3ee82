import GRPCCore

/// Records the errors that services throw, before GRPCCore reduces them to a status.
struct ErrorRecording: ServerInterceptor {
    @concurrent
    func intercept<Input: Sendable, Output: Sendable>(
        request: StreamingServerRequest<Input>, context: ServerContext,
        next:
            @Sendable @concurrent (StreamingServerRequest<Input>, ServerContext) async throws ->
            StreamingServerResponse<Output>
    ) async throws -> StreamingServerResponse<Output> {
        do {
            var response = try await next(request, context)
            if case .success(var contents) = response.accepted {
                let producer = contents.producer
                contents.producer = { writer in
                    do {
                        return try await producer(writer)
                    } catch {
                        context.call?.error = error
                        throw error
                    }
                }
                response.accepted = .success(contents)
            }
            return response
        } catch {
            context.call?.error = error
            throw error
        }
    }
}
