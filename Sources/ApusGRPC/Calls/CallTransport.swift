import ApusCore
import GRPCCore
import Synchronization

/// A transport of GRPCCore's that has no sockets: calls come as requests, and are handed to what ``listen(streamHandler:)``
/// was given.
final class CallTransport: ServerTransport {
    typealias Bytes = MessageBytes
    typealias StreamHandler = @Sendable @concurrent (RPCStream<Inbound, Outbound>, ServerContext) async -> Void

    /// In a box: a closure that is kept as a generic value gains a wrapper each time that it is looked at.
    private struct Box {
        let handler: StreamHandler
    }

    private let box = Mutex<Box?>(nil)

    /// What answers calls, once the server serves.
    var streamHandler: StreamHandler? { box.withLock { $0 }?.handler }

    /// Returns at once: nothing is done here until a request comes.
    @concurrent
    func listen(streamHandler: @escaping StreamHandler) async throws {
        box.withLock { $0 = Box(handler: streamHandler) }
    }

    func beginGracefulShutdown() {}
}

/// GRPCCore's server of the services of one declaration.
final class CallServer: Sendable {
    private let transport: CallTransport
    private let started: Task<Void, any Error>

    init(_ router: RPCRouter<CallTransport>) {
        let transport = CallTransport()
        self.transport = transport
        // It ends as soon as it has begun, as the transport's `listen` does.
        started = Task { try await GRPCServer(transport: transport, router: router).serve() }
    }

    /// What answers calls.
    var streamHandler: CallTransport.StreamHandler {
        get async throws {
            if let handler = transport.streamHandler { return handler }
            try await started.value
            guard let handler = transport.streamHandler else {
                throw AppError(.unavailable, "The server of gRPC's calls does not serve.")
            }
            return handler
        }
    }
}
