import ApusCore
@testable import ApusHTTP
import HTTPTypes
import NIOCore
import ServiceContextModule
import Synchronization
import Testing

@Suite struct EventStreamTests {
    @Test func `An event is encoded with one line for each field and line of data`() throws {
        func text(_ event: ServerSentEvent) throws -> String { try String(buffer: event.encoded()) }
        #expect(try text(ServerSentEvent("hi")) == "data: hi\n\n")
        #expect(try text(ServerSentEvent("", event: "e", id: "")) == "id: \nevent: e\ndata: \n\n")
        #expect(
            try text(ServerSentEvent("a\nb\r\nc\rd\n", id: "1"))
                == "id: 1\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n")
        #expect(try text(ServerSentEvent(json: ["a": 1])) == "data: {\"a\":1}\n\n")
        for bad in ["a\nb", "a\rb", "a\r\nb", "a\0"] {
            #expect(throws: AppError.self) { try ServerSentEvent("x", id: bad).encoded() }
            #expect(throws: AppError.self) { try ServerSentEvent("x", event: bad).encoded() }
        }
    }

    @Test func `A stream resumes after the last event that the client received`() async throws {
        func fetch(_ headers: RequestHeaders) async throws -> Response {
            try await respond(.get, "/events", headers: headers) { routes in
                routes.get("events", LastEventID()) { last in
                    EventStream(retry: .milliseconds(1500)) { events in
                        let first = last.flatMap { Int($0) }.map { $0 + 1 } ?? 1
                        for id in first...3 { try await events.send(ServerSentEvent("e", id: "\(id)")) }
                    }
                }
            }
        }
        let response = try await fetch([:])
        #expect(response.headers[.contentType] == "text/event-stream")
        #expect(response.headers[.cacheControl] == "no-store")
        #expect(try await collect(response) == "retry: 1500\n\nid: 1\ndata: e\n\nid: 2\ndata: e\n\nid: 3\ndata: e\n\n")
        #expect(try await collect(fetch([.lastEventID: "2"])) == "retry: 1500\n\nid: 3\ndata: e\n\n")
    }

    @Test func `The deadline of the request does not apply to a stream`() async throws {
        var context = ServiceContext.topLevel
        context.lower(deadline: .after(.seconds(1)))
        let response = EventStream { events in
            #expect(ServiceContext.current?.deadline == nil)
            try await events.send(ServerSentEvent("x"))
        }.response(to: Request(method: .get, target: "/"))
        let sent = try await ServiceContext.withValue(context) { try await collect(response) }
        #expect(sent == "data: x\n\n")
    }

    @Test func `A stream fails if its body throws an error`() async throws {
        let response = EventStream { _ in throw AppError(.unavailable, "Unavailable.") }.response(
            to: Request(method: .get, target: "/"))
        await #expect(throws: AppError.self) { try await collect(response) }
    }

    @Test func `A stream ends when the token of its request expires`() async throws {
        let context = RequestContext()
        context.principalExpiresIn = .milliseconds(1)
        // No heartbeat, however long it takes.
        let response = EventStream(heartbeat: .seconds(86_400)) { _ in try await Task.sleep(for: .seconds(86_400)) }
            .response(
                to: Request(method: .get, target: "/", context: context))
        #expect(try await collect(response) == "")
    }
}
