public import ApusCore
import HTTPTypes
import NIOCore
import Synchronization

/// Events that a client receives as they happen (`text/event-stream`), for as long as it listens.
///
/// ```swift
/// routes.get("prices", LastEventID()) { last in
///     EventStream { events in
///         for await price in prices.since(last) { try await events.send(ServerSentEvent(json: price, id: price.id)) }
///     }
/// }
/// ```
///
/// `send` waits while the client does not keep up. An idle stream sends a comment now and then, so that neither proxies nor
/// the client take it for dead. The body is cancelled when the client goes, and when the server stops: clients come again
/// by themselves. It ends with the token that the request was authenticated by, too. No deadline of the request holds for it.
public struct EventStream: ResponseConvertible {
    private let heartbeat: Duration
    private let retry: Duration?
    private let clock: any WallClock
    private let body: @Sendable (EventWriter) async throws -> Void

    /// - Parameters:
    ///   - heartbeat: How long it may be silent. 15 seconds.
    ///   - retry: How long clients wait before they come again; 3 seconds in most if it is not said.
    ///   - body: Sends events. The stream ends when it returns.
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
        // Caches and proxies are to pass on what comes when it comes.
        let headers: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-store", .xAccelBuffering: "no",
        ]
        return Response(
            status: .ok, headers: headers,
            body: .stream { [timeLeft = request.context.principalTimeLeft] in try await run($0, timeLeft) })
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
                // A token that has expired says nothing any more.
                if let timeLeft { group.addTask { try await clock.sleep(for: timeLeft) } }
                // The first to end ends all: the body, the server, or the client that is gone.
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    public static func describe(_ operation: inout OpenAPI.Operation) {
        operation.responses[200] = .init(
            "Events as they happen.", content: .init(["text/event-stream": .of(String.self)]))
    }
}

/// Where the events of an ``EventStream`` are sent to.
public final class EventWriter: Sendable {
    private let writer: any ResponseBodyWriter
    private let count = Atomic(0)

    init(_ writer: any ResponseBodyWriter) { self.writer = writer }

    /// Sends an event; waits while the client does not keep up.
    /// - Throws: When the client is gone, or the event's id or type has a line break.
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
