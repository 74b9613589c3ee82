import ApusCore
public import ApusData
import ServiceContextModule

/// Sends messages to the subscribers in all processes that use the same database, by `LISTEN` and `NOTIFY`.
///
/// Inside a transaction of the database, messages are sent when it is committed. Commits that send messages wait for each
/// other on the whole server: for thousands of messages a second, use Redis.
///
/// The server limits messages to ``maximumTextLength`` bytes if they are text, and else to ``maximumBinaryLength``.
public final class PostgresPubSub: PubSub {
    /// The maximum length of a message that is UTF-8 without NUL, in bytes: 7998.
    public static var maximumTextLength: Int { PubSubPayload.maximumTextLength }
    /// The maximum length of any other message, in bytes: 5997.
    public static var maximumBinaryLength: Int { PubSubPayload.maximumBinaryLength }

    /// The maximum length of a channel's name, in bytes. Postgres would cut longer ones without an error.
    private static let maximumNameLength = 63

    private let database: PostgresDatabase
    private let prefix: String
    private let timeout: Duration

    /// Creates the engine.
    /// - Parameters:
    ///   - database: The database, which must not be closed before this engine is used for the last time.
    ///   - prefix: Precedes the names of the channels. With it, they have at most 63 bytes.
    ///   - timeout: The maximum time that subscribing waits for the server. 5 seconds by default.
    public init(_ database: PostgresDatabase, prefix: String = "", timeout: Duration = .seconds(5)) {
        self.database = database
        self.prefix = prefix
        self.timeout = timeout
    }

    public func publish(_ message: [UInt8], to channel: String) async throws {
        let name = try name(of: channel)
        try await database.notify(name, payload: PubSubPayload.encode(message))
    }

    public func subscribe(to channel: String, capacity: Int) async throws -> PubSubSubscription {
        let stream = database.notifications(on: try name(of: channel))
        try await waitUntilListening(stream)
        let events = BoundedEvents(capacity: capacity, gap: PubSubEvent.gap)
        let reader = Task.detached {
            for await event in stream {
                switch event {
                case .gap: events.pushGap()
                case .notification(_, let payload):
                    // Anybody may notify a channel. What this engine has not sent cannot be understood.
                    if let message = PubSubPayload.decode(payload) { events.push(.message(message)) }
                }
            }
            events.finish()
        }
        return PubSubSubscription(events: events) { reader.cancel() }
    }

    /// The first event, a gap, says that the server listens.
    private func waitUntilListening(_ stream: AsyncStream<PostgresEvent>) async throws {
        let callers = ServiceContext.current?.deadline
        do {
            try await withDeadline(.after(timeout)) {
                for await event in stream where event == .gap { return }
                try Task.checkCancellation()
                throw AppError(.unavailable, "The database is closed.")
            }
        } catch let error as AppError where error.code == .deadlineExceeded && callers?.hasPassed != true {
            throw AppError(.unavailable, "The database does not respond.", cause: error)
        }
    }

    private func name(of channel: String) throws -> String {
        let name = prefix + channel
        guard (1...Self.maximumNameLength).contains(name.utf8.count), !name.utf8.contains(0) else {
            throw AppError(
                .invalidArgument,
                "The channel \"\(name.prefix(80))\" must have 1 to \(Self.maximumNameLength) bytes, none of them NUL.")
        }
        return name
    }
}

extension PostgresDatabase {
    public var pubSub: (any PubSub)? { PostgresPubSub(self) }
}
