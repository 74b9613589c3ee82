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
        Iterator(pieces: body.makeAsyncIterator(), limit: limit, head: head)
    }

    /// The one message of a call that has one.
    /// - Throws: An `AppError`: `internal` when there is none or another one follows, and what reading one throws.
    func only() async throws -> MessageBytes {
        var reader = MessageReader(limit: limit)
        reader.append(try await head.format == .webText ? Base64Text.decode(body.collect()) : body.collect())
        guard let found = try reader.next() else {
            try reader.finish()
            throw AppError(.internal, "The call has no message.", reason: .malformedCall)
        }
        guard try reader.next() == nil else {
            throw AppError(.internal, "The call has more than one message.", reason: .malformedCall)
        }
        try reader.finish()
        switch found {
        case .message(let message): return message
        case .compressed(let bytes): return try await head.encoding.decode(bytes, limit: limit)
        }
    }

    struct Iterator {
        private var pieces: RequestBody.Iterator
        private var reader: MessageReader
        private var text: Base64Text?
        private let encoding: MessageEncoding
        private let limit: Int
        /// How many messages were at hand in a row.
        private var burst = 0

        /// After so many the loop sees to its other connections: a window holds thousands of messages of nothing.
        private static let longestBurst = 256

        init(pieces: RequestBody.Iterator, limit: Int, head: CallHead) {
            self.pieces = pieces
            self.limit = limit
            reader = MessageReader(limit: limit)
            encoding = head.encoding
            text = head.format == .webText ? Base64Text() : nil
        }

        mutating func next() async throws -> MessageBytes? {
            while true {
                if let found = try reader.next() {
                    try await takeBreath()
                    switch found {
                    case .message(let message): return message
                    case .compressed(let bytes): return try await encoding.decode(bytes, limit: limit)
                    }
                }
                guard let piece = try await pieces.next() else {
                    try text?.finish()
                    try reader.finish()
                    return nil
                }
                reader.append(try text?.decode(piece) ?? piece)
            }
        }

        private mutating func takeBreath() async throws {
            burst += 1
            guard burst > Self.longestBurst else { return }
            burst = 0
            // By a timer: what is ready at once is done before the loop looks at its sockets.
            try await Task.sleep(for: .microseconds(1))
        }
    }
}
