public import ApusCore
import HTTPTypes
import NIOCore
import Synchronization

/// A stream of server-sent events (`text/event-stream`).
///
/// ```swift
/// routes.get("prices", LastEventID()) { last in
///     EventStream { events in
///         for await price in prices.since(last) { try await events.send(ServerSentEvent(json: price, id: price.id)) }
///     }
/// }
/// ```
///
/// `send` suspends while the client does not keep up. An idle stream sends a comment at every heartbeat, so that neither
/// proxies nor the client consider the connection dead. The body is cancelled when the client disconnects, when the token
/// that authenticated the request expires, and when the server shuts down; clients reconnect on their own. The deadline of
/// the request does not apply to the stream.
public struct EventStream: ResponseConvertible {
    private let heartbeat: Duration
    private let retry: Duration?
    private let clock: any WallClock
    private let body: @Sendable (EventWriter) async throws -> Void

    /// Creates a stream.
    /// - Parameters:
    ///   - heartbeat: How long the stream may be idle before a comment is sent. The default is 15 seconds.
    ///   - retry: How long clients wait before they reconnect. If `nil`, clients use their default, in most 3 seconds.
    ///   - body: A closure that sends the events. The stream ends when it returns.
    public init(
        heartbeat: Duration = .seconds(15), retry: Duration? = nil, clock: any WallClock = SystemClock(),
        _ body: @escaping @Sendable (EventWriter) async throws -> Void
    ) {
        self.heartbeat = heartbeat
        self.retry = retry
        self.clock = clock
        self.body = body
    }

    public func response(to request: Request) -> Response {
        // Caches and proxies must forward events immediately.
        let headers: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-store", .xAccelBuffering: "no",
        ]
        return Response(
            status: .ok, headers: headers,
            body: .stream { [timeLeft = request.context.principalExpiresIn] in try await run($0, timeLeft) })
    }

    private func run(_ writer: any ResponseBodyWriter, _ timeLeft: Duration?) async throws {
        let events = EventWriter(writer)
        if let retry { try await events.write("retry: \(Int(retry.seconds * 1000))\n\n") }
        let (stop, stopper) = AsyncStream.makeStream(of: Never.self)
        writer.onDrain { stopper.finish() }
        try await withoutDeadline {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await body(events) }
                group.addTask { try await events.keepAlive(every: heartbeat, clock) }
                group.addTask { for await _ in stop {} }
                // The stream must not outlive the client's token.
                if let timeLeft { group.addTask { try await clock.sleep(for: timeLeft) } }
                // The first task to finish ends the stream, whether the body has returned, the client has disconnected, the
                // token has expired or the server shuts down.
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[200] = .init(
            "A stream of server-sent events.", content: .init(["text/event-stream": .of(String.self)]))
    }
}

/// The writer of the events of an ``EventStream``.
public final class EventWriter: Sendable {
    private let writer: any ResponseBodyWriter
    private let count = Atomic(0)

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    /// Sends an event. Suspends while the client does not keep up.
    /// - Throws: An error if the client has disconnected, or if the event's id or type has a line break or NUL.
    public func send(_ event: ServerSentEvent) async throws { try await write(event.encoded()) }

    func write(_ text: String) async throws { try await write(ByteBuffer(string: text)) }

    private func write(_ bytes: ByteBuffer) async throws {
        count.add(1, ordering: .relaxed)
        try await writer.write(bytes)
    }

    func keepAlive(every interval: Duration, _ clock: any WallClock) async throws {
        while true {
            let before = count.load(ordering: .relaxed)
            try await clock.sleep(for: interval)
            if count.load(ordering: .relaxed) == before { try await write(":\n\n") }
        }
    }
}

extension HTTPField.Name {
    fileprivate static let xAccelBuffering = HTTPField.Name("X-Accel-Buffering")!
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
}
