import ApusCore
import ApusData

/// What a subscriber to a channel of notifications receives.
public enum PostgresEvent: Sendable, Equatable {
    /// Notifications may have been missed: everything from before must be read again. Sent once when listening has
    /// begun, after each interruption of the connection, and when the subscriber could not keep up.
    case gap
    case notification(channel: String, payload: String)
}

extension PostgresDatabase {
    /// The maximum length of a notification's payload, in bytes, a limit of the server.
    public static var maximumPayloadLength: Int { 7999 }

    /// Listens to a channel, on a connection of its own that is opened again when it is lost.
    ///
    /// ```swift
    /// for await event in database.notifications(on: "orders") {
    ///     switch event {
    ///     case .gap: try await reloadAll()
    ///     case .notification(_, let id): try await reload(id)
    ///     }
    /// }
    /// ```
    /// - Parameter channel: The name of the channel, 1 to 63 bytes without U+0000, in exact case. Another name is logged as
    ///   an error, and has no events.
    /// - Returns: The events, until the task is cancelled or the database is closed.
    public func notifications(on channel: String) -> AsyncStream<PostgresEvent> { listener.subscribe(channel) }

    /// Notifies the subscribers of a channel. Inside a transaction, they are notified when it is committed.
    ///
    /// Commits that notify wait for each other on the whole server, so send few, and identifiers rather than content.
    /// - Throws: An `AppError` of code `invalidArgument` if the payload is longer than ``maximumPayloadLength``.
    public func notify(_ channel: String, payload: String) async throws {
        guard payload.utf8.count <= Self.maximumPayloadLength else {
            throw AppError(
                .invalidArgument,
                "The payload has \(payload.utf8.count) bytes; the maximum is \(Self.maximumPayloadLength). Send an identifier."
            )
        }
        _ = try await query("SELECT pg_notify(\(channel), \(payload))")
    }
}
