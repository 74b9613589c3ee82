import ApusCore
import ApusHTTP
import GRPCCore
import NIOCore

/// The metadata of a call, followed by its messages, in the form that GRPCCore expects.
struct CallInput: AsyncSequence, Sendable {
    typealias Element = RPCRequestPart<MessageBytes>
    typealias Failure = any Error

    let metadata: Metadata
    let messages: CallMessages

    func makeAsyncIterator() -> Iterator { Iterator(metadata: metadata, messages: messages.makeAsyncIterator()) }

    struct Iterator: AsyncIteratorProtocol {
        private var metadata: Metadata?
        private var messages: CallMessages.Iterator

        init(metadata: Metadata, messages: CallMessages.Iterator) {
            self.metadata = metadata
            self.messages = messages
        }

        mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? {
            if let metadata = metadata.take() { return .metadata(metadata) }
            return try await messages.next().map { .message($0) }
        }
    }
}

/// The incoming messages of a call.
struct CallMessages: Sendable {
    let body: RequestBody
    let head: CallHead
    let limit: Int

    func makeAsyncIterator() -> Iterator {
        Iterator(chunks: body.makeAsyncIterator(), limit: limit, head: head)
    }

    /// Returns the message of a call that must have exactly one.
    /// - Throws: An `AppError` with code `internal` if there is not exactly one message, or an error in the message itself.
    func single() async throws -> MessageBytes {
        var reader = MessageReader(limit: limit)
        reader.append(try await head.format == .webText ? Base64Text.decode(body.collect()) : body.collect())
        guard let message = try reader.next() else {
            try reader.finish()
            throw AppError(.internal, "The call has no message.", reason: .malformedCall)
        }
        guard try reader.next() == nil else {
            throw AppError(.internal, "The call has more than one message.", reason: .malformedCall)
        }
        try reader.finish()
        switch message {
        case .uncompressed(let bytes): return bytes
        case .compressed(let bytes): return try await head.encoding.decode(bytes, limit: limit)
        }
    }

    struct Iterator {
        private var chunks: RequestBody.Iterator
        private var reader: MessageReader
        private var text: Base64Text?
        private let encoding: MessageEncoding
        private let limit: Int
        /// The number of messages returned since the last yield.
        private var burst = 0

        /// The number of messages after which the event loop may serve other connections: a flow-control window holds
        /// thousands of empty messages.
        private static let maximumBurst = 256

        init(chunks: RequestBody.Iterator, limit: Int, head: CallHead) {
            self.chunks = chunks
            self.limit = limit
            reader = MessageReader(limit: limit)
            encoding = head.encoding
            text = head.format == .webText ? Base64Text() : nil
        }

        mutating func next() async throws -> MessageBytes? {
            while true {
                if let message = try reader.next() {
                    try await yieldAfterBurst()
                    switch message {
                    case .uncompressed(let bytes): return bytes
                    case .compressed(let bytes): return try await encoding.decode(bytes, limit: limit)
                    }
                }
                guard let chunk = try await chunks.next() else {
                    try text?.finish()
                    try reader.finish()
                    return nil
                }
                reader.append(try text?.decode(chunk) ?? chunk)
            }
        }

        private mutating func yieldAfterBurst() async throws {
            burst += 1
            guard burst > Self.maximumBurst else { return }
            burst = 0
            // A timer is needed: the loop runs all ready tasks before it polls its sockets.
            try await Task.sleep(for: .microseconds(1))
        }
    }
}
