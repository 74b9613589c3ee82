import ApusCore
import ApusHTTP
import GRPCCore
import HTTPTypes

/// Handles the calls of one method.
struct MethodHandler: Sendable {
    let method: MethodDescriptor
    /// The method as a function, if the generated code provides it.
    let direct: DirectMethod?
    let server: CallServer
    let configuration: GRPCConfiguration

    func respond(to request: Request) async throws -> Response {
        let head = try CallHead(request)
        let call = GRPCCall(request, isCompressing: configuration.compressesMessages)
        let messages = CallMessages(body: request.body, head: head, limit: configuration.maximumMessageBytes)
        if let direct {
            let reply = try await run(call, within: head.responseDeadline) {
                try await direct.call(messages.single(), head.metadata, $0)
            }
            return try await response(reply, head, call)
        }
        let handler = try await server.streamHandler
        let input = CallInput(metadata: head.metadata, messages: messages)
        guard method.type == .unary else { return stream(input, head, call, handler) }
        let output = BufferedOutput()
        try await run(call, within: head.responseDeadline) { await handler(stream(input, output), $0) }
        return try await response(output.reply(call.error), head, call)
    }

    private func response(_ reply: UnaryReply, _ head: CallHead, _ call: GRPCCall) async throws -> Response {
        // In gRPC-Web the status is in the body, where the access log does not look for it.
        if head.answerFormat != .grpc { call.request.context[CallStatus.self] = .ok }
        let encoding = call.compressesMessages ? head.accepted : .identity
        // The common case, uncompressed messages, avoids a suspension point.
        let message = encoding == .identity ? reply.message.framed() : try await reply.message.framed(encoding)
        let format = head.answerFormat
        var response = format.response(
            message, head: format.head(reply.metadata, encoding: encoding),
            trailers: format.okTrailers(reply.trailingMetadata))
        response.deadline = head.deadline?.onEventLoop
        return response
    }

    private func stream(
        _ input: CallInput, _ head: CallHead, _ call: GRPCCall, _ handler: @escaping CallTransport.StreamHandler
    ) -> Response {
        // No stream outlives the caller's token.
        let expiry = call.request.context.principalExpiresIn.map { Deadline.after($0) }
        var response = Response(
            status: .ok, headers: [.contentType: head.answerFormat.contentType],
            body: .stream { writer in
                let output = StreamedOutput(writer, head, call)
                // The server's request deadline limits the time until the response, so it does not apply to streams.
                try await withoutDeadline {
                    var failure: (any Error)?
                    do {
                        try await run(call, within: head.deadline, whileAuthenticatedUntil: expiry) { context in
                            writer.onDrain { context.cancellation.cancel() }
                            await handler(stream(input, output), context)
                        }
                    } catch {
                        failure = error
                    }
                    try await output.end(failure, domain: configuration.domain)
                }
            })
        response.delivery = .deferredHead
        response.deadline = [head.deadline, expiry].compactMap(\.self).min()?.onEventLoop
        return response
    }

    private func stream(
        _ input: CallInput, _ output: some ClosableRPCWriterProtocol<RPCResponsePart<MessageBytes>>
    ) -> RPCStream<CallTransport.Inbound, CallTransport.Outbound> {
        RPCStream(
            descriptor: method, inbound: RPCAsyncSequence(wrapping: input),
            outbound: RPCWriter.Closable(wrapping: output))
    }

    /// Runs the body of a call in its context until the caller's credentials expire.
    private func run(
        _ call: GRPCCall, within deadline: Deadline?, whileAuthenticatedUntil expiry: Deadline?,
        _ body: @escaping @Sendable (ServerContext) async throws -> Void
    ) async throws {
        guard let expiry else { return try await run(call, within: deadline, body) }
        do {
            try await withDeadline(expiry) { try await run(call, within: deadline, body) }
        } catch let error as AppError where error.code == .deadlineExceeded && expiry.hasPassed {
            throw AppError(.unauthenticated, "The credentials of the call have expired.", reason: "CREDENTIALS_ENDED")
        }
    }

    /// Runs the body of a call in its context.
    func run<Result: Sendable>(
        _ call: GRPCCall, within deadline: Deadline?,
        _ body: @escaping @Sendable (ServerContext) async throws -> Result
    ) async throws -> Result {
        guard let deadline else { return try await run(call, body) }
        return try await withDeadline(deadline) { try await run(call, body) }
    }

    private func run<Result: Sendable>(
        _ call: GRPCCall, _ body: @Sendable (ServerContext) async throws -> Result
    ) async throws -> Result {
        try await withServerContextRPCCancellationHandle { cancellation in
            var context = ServerContext(
                descriptor: method, remotePeer: call.request.remoteAddress ?? "unknown",
                localPeer: call.request.authority ?? "unknown", cancellation: cancellation)
            context.transportSpecific = call
            return try await withTaskCancellationHandler {
                try await body(context)
            } onCancel: {
                cancellation.cancel()
            }
        }
    }
}
