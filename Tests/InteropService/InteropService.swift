import ApusCore
import ApusGRPC
import ApusHTTP
import FoundationEssentials
package import GRPCCore
package import SwiftProtobuf

/// A service with each kind of call, for the gRPC interoperability test cases and for error cases.
package struct InteropService: Apus_Test_Interop.SimpleServiceProtocol {
    package typealias Empty = Google_Protobuf_Empty
    /// The metadata key whose values are echoed in the initial metadata.
    private static let initialKey = "x-echo-initial"
    /// The metadata key whose values are echoed in the trailing metadata.
    private static let trailingKey = "x-echo-trailing-bin"

    private let onSleep: @Sendable () -> Void
    private let onCancel: @Sendable () -> Void

    /// Creates a service.
    /// - Parameters:
    ///   - onSleep: Called when a call begins to sleep.
    ///   - onCancel: Called when a sleeping call is cancelled.
    package init(onSleep: @escaping @Sendable () -> Void = {}, onCancel: @escaping @Sendable () -> Void = {}) {
        self.onSleep = onSleep
        self.onCancel = onCancel
    }

    package func emptyCall(request: Empty, context: ServerContext) async throws -> Empty { Empty() }

    package func unaryCall(
        request: Apus_Test_SimpleRequest, context: ServerContext
    ) async throws -> Apus_Test_SimpleResponse {
        try fail(request.hasResponseStatus ? request.responseStatus : nil)
        try fail(request.failure)
        if request.sleepMs > 0 { try await sleep(.milliseconds(request.sleepMs)) }
        context.call?.compressesMessages = request.responseCompressed
        let caller = request.fillCaller ? context.call?.request.context.principal?.subject ?? "nobody" : ""
        return .with {
            $0.payload = payload(request.responseSize)
            $0.caller = caller
        }
    }

    package func unaryCall(
        request: ServerRequest<Apus_Test_SimpleRequest>, context: ServerContext
    ) async throws -> ServerResponse<Apus_Test_SimpleResponse> {
        ServerResponse(
            message: try await unaryCall(request: request.message, context: context),
            metadata: request.metadata.only(Self.initialKey), trailingMetadata: request.metadata.only(Self.trailingKey))
    }

    package func streamingInputCall(
        request: RPCAsyncSequence<Apus_Test_InputRequest, any Error>, context: ServerContext
    ) async throws -> Apus_Test_InputResponse {
        var size = 0
        for try await message in request { size += message.payload.body.count }
        return .with { [size] in $0.aggregatedPayloadSize = Int32(size) }
    }

    package func streamingOutputCall(
        request: Apus_Test_OutputRequest, response: RPCWriter<Apus_Test_OutputResponse>, context: ServerContext
    ) async throws {
        try await answer(request, response, context)
    }

    package func fullDuplexCall(
        request: RPCAsyncSequence<Apus_Test_OutputRequest, any Error>,
        response: RPCWriter<Apus_Test_OutputResponse>, context: ServerContext
    ) async throws {
        for try await message in request { try await answer(message, response, context) }
    }

    package func fullDuplexCall(
        request: StreamingServerRequest<Apus_Test_OutputRequest>, context: ServerContext
    ) async throws -> StreamingServerResponse<Apus_Test_OutputResponse> {
        StreamingServerResponse(metadata: request.metadata.only(Self.initialKey)) { writer in
            try await fullDuplexCall(request: request.messages, response: writer, context: context)
            return request.metadata.only(Self.trailingKey)
        }
    }

    package func unimplementedCall(request: Empty, context: ServerContext) async throws -> Empty {
        throw RPCError(code: .unimplemented, message: "This method is not implemented.")
    }

    private func answer(
        _ request: Apus_Test_OutputRequest, _ response: RPCWriter<Apus_Test_OutputResponse>, _ context: ServerContext
    ) async throws {
        for wanted in request.responseParameters {
            if wanted.intervalUs > 0 { try await sleep(.microseconds(wanted.intervalUs)) }
            context.call?.compressesMessages = wanted.compressed
            try await response.write(.with { $0.payload = payload(wanted.size) })
        }
        try fail(request.hasResponseStatus ? request.responseStatus : nil)
    }

    private func sleep(_ duration: Duration) async throws {
        onSleep()
        do {
            try await Task.sleep(for: duration)
        } catch {
            onCancel()
            throw error
        }
    }

    private func payload(_ size: Int32) -> Apus_Test_Payload {
        .with { $0.body = .init(count: Int(max(0, size))) }
    }

    private func fail(_ status: Apus_Test_EchoStatus?) throws {
        guard let status, status.code != 0 else { return }
        let code = Status.Code(rawValue: Int(status.code)).flatMap(RPCError.Code.init) ?? .unknown
        throw RPCError(code: code, message: status.message)
    }

    private func fail(_ name: String) throws {
        switch name {
        case "": return
        case "app":
            var error = AppError(
                .aborted, "Another driver took this order.", reason: "ORDER_TAKEN", retryAfter: .seconds(2))
            error.details.metadata["order"] = "7"
            throw error
        case "fields":
            throw AppError(failures: [
                ValidationFailure(pointer: "/items/0/name", code: "too_short", message: "must have 1 to 80 characters")
            ])
        case "unknown": throw Secret(text: "password=hunter2")
        default:
            throw RPCError(
                code: .dataLoss, message: name, metadata: ["x-reason": "because", "x-bytes-bin": .binary([1, 2])])
        }
    }

    private struct Secret: Error {
        let text: String
    }
}

extension Metadata {
    fileprivate func only(_ key: String) -> Metadata {
        var metadata = Metadata()
        for (name, value) in self where name == key { metadata.add(contentsOf: [(key: name, value: value)]) }
        return metadata
    }
}
