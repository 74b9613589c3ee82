import GRPCCore

/// Notes what a service throws, before GRPCCore makes a status of it that forgets the rest.
struct ErrorNoting: ServerInterceptor {
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
