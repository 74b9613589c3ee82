import ApusCore
import ApusHTTP
import GRPCCore
import NIOCore

/// A call's metadata and messages, in the order in which GRPCCore wants them.
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

/// The messages that a client sends, as they come.
struct CallMessages: Sendable {
    let body: RequestBody
    let head: CallHead
    let limit: Int

    func makeAsyncIterator() -> Iterator {
        Iterator(pieces: body.makeAsyncIterator(), reader: reader, isText: head.format == .webText)
    }

    private var reader: MessageReader { MessageReader(limit: limit, encoding: head.encoding) }

    /// The one message of a call that has one.
    /// - Throws: An `AppError`: `internal` when there is none or another one follows, and what reading one throws.
    func only() async throws -> MessageBytes {
        var reader = reader
        reader.append(try await head.format == .webText ? Base64Text.decode(body.collect()) : body.collect())
        guard let message = try reader.next() else {
            try reader.finish()
            throw AppError(.internal, "The call has no message.", reason: .malformedCall)
        }
        guard try reader.next() == nil else {
            throw AppError(.internal, "The call has more than one message.", reason: .malformedCall)
        }
        try reader.finish()
        return message
    }

    struct Iterator {
        private var pieces: RequestBody.Iterator
        private var reader: MessageReader
        private var text: Base64Text?

        init(pieces: RequestBody.Iterator, reader: MessageReader, isText: Bool) {
            self.pieces = pieces
            self.reader = reader
            text = isText ? Base64Text() : nil
        }

        mutating func next() async throws -> MessageBytes? {
            while true {
                if let message = try reader.next() { return message }
                guard let piece = try await pieces.next() else {
                    try text?.finish()
                    try reader.finish()
                    return nil
                }
                reader.append(try text?.decode(piece) ?? piece)
            }
        }
    }
}
