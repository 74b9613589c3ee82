import ApusCore
import ApusHTTP
import ApusServer
import ApusTesting
import Logging
import ServiceLifecycle
import Synchronization
import Testing

/// Opens a gate once the first client has received 200 responses, and each of the others at least one.
private final class LoadProgress: Sendable {
    let halfWay = Gate()
    private let waiting: Mutex<Set<Int>>

    init(clients: Int) { waiting = Mutex(Set(0..<clients)) }

    func record(_ count: Int, of client: Int) {
        guard count == (client == 0 ? 200 : 1) else { return }
        let isHalfWay = waiting.withLock { waiting in
            waiting.remove(client)
            return waiting.isEmpty
        }
        if isHalfWay { halfWay.open() }
    }
}

@Suite(.timeLimit(.minutes(10))) struct GracefulStopTests {
    @Test func `A graceful stop under load loses no request`() async throws {
        let answered = try await stopUnderLoad(clients: 16) { port, progress in
            // When the previous request was sent, or the connection opened.
            var previous = ContinuousClock.now
            let connection = try await RawConnection.connect(port: port)
            var count = 0
            while true {
                let start = ContinuousClock.now
                // Fails if the server has closed the connection; then no answer follows.
                try? await connection.write("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
                let answer = try await connection.read(until: "\r\n\r\nHello")
                // A server that stops closes connections that were idle for a second. On a slow machine, this is one.
                if answer.isEmpty, previous.duration(to: .now) > .seconds(1) { return count }
                previous = start
                // Every request is answered until a response announces that it is the last one.
                #expect(answer.hasPrefix("HTTP/1.1 200"), "lost after \(count) requests")
                guard !answer.isEmpty else { return count }
                count += 1
                progress(count)
                if answer.contains("Connection: close") { return count }
            }
        }
        #expect(answered > 200)
    }

    @Test func `A graceful stop under load loses no accepted HTTP/2 request`() async throws {
        let answered = try await stopUnderLoad(clients: 4) { port, progress in
            let client = try await HTTP2Client.connect(port: port)
            let (answered, lost) = await client.load("/hello", inFlight: 16, progress: progress)
            #expect(lost.isEmpty)
            return answered
        }
        #expect(answered > 200)
    }

    /// Stops a server once its first client has received 200 responses, and each of the others at least one.
    /// - Parameter client: Receives the port and a function to report its number of responses; returns that number.
    private func stopUnderLoad(
        clients: Int, _ client: @escaping @Sendable (Int, @Sendable (Int) -> Void) async throws -> Int
    ) async throws -> Int {
        let routes = Routes()
        routes.get("hello") { "Hello" }
        let router = try Router(routes)
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let server = Server(
            Self.configuration(port: 0, threads: 2), logger: .quiet,
            onListening: { continuation.yield($0.first?.port ?? 0) }, handler: { await router.respond(to: $0) })
        let group = ServiceGroup(services: [server], logger: .quiet)
        let progress = LoadProgress(clients: clients)
        return try await withThrowingTaskGroup(of: Int.self) { tasks in
            tasks.addTask {
                try await group.run()
                return 0
            }
            var iterator = ports.makeAsyncIterator()
            let port = try #require(await iterator.next())
            for index in 0..<clients {
                tasks.addTask {
                    try await client(port) { progress.record($0, of: index) }
                }
            }
            try await progress.halfWay.wait()
            await group.triggerGracefulShutdown()
            return try await tasks.reduce(0, +)
        }
    }

    /// Nothing but a hang exceeds the limits.
    private static func configuration(port: Int, threads: Int) -> Server.Configuration {
        var configuration = Server.Configuration(port: port, threads: threads)
        configuration.limits = .patient
        configuration.shutdownLimit = .seconds(600)
        return configuration
    }

    @Test func `On a graceful stop, requests in flight are answered and the listener is closed`() async throws {
        // Otherwise, another test could be given the port as soon as the listener is closed.
        try await withReservedPort { try await stopWithRequestInFlight(port: $0) }
    }

    private func stopWithRequestInFlight(port: Int) async throws {
        let started = Gate()
        let gate = Gate()
        let routes = Routes()
        routes.get("hold") {
            started.open()
            try await gate.wait()
            return "held"
        }
        let router = try Router(routes)
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let stopping = Gate()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let server = Server(
            Self.configuration(port: port, threads: 1), logger: logger,
            onListening: { continuation.yield($0.first?.port ?? 0) }, onStopping: { stopping.open() },
            handler: { await router.respond(to: $0) })
        let group = ServiceGroup(services: [server], logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var iterator = ports.makeAsyncIterator()
            let port = try #require(await iterator.next())
            async let held = exchange(port, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
            let idle = try await RawConnection.connect(port: port)
            try await started.wait()
            await group.triggerGracefulShutdown()
            try await stopping.wait()
            #expect(try await idle.readToEnd().isEmpty)
            await #expect(throws: (any Error).self) { try await RawConnection.connect(port: port) }
            gate.open()
            let text = try await held
            #expect(text.hasSuffix("held"))
            #expect(text.contains("Connection: close\r\n"))
            try await tasks.waitForAll()
        }
    }

    @Test(arguments: ["HTTP/1.1", "HTTP/2"])
    func `An event stream stays open while it is silent, and ends when the server stops`(
        version: String
    ) async throws {
        let clock = ManualClock()
        let hasSent = Gate()
        let routes = Routes()
        routes.get("events") {
            EventStream(heartbeat: .seconds(15), clock: clock) { events in
                try await events.send(ServerSentEvent("first"))
                hasSent.open()
                try await Task.sleep(for: .seconds(3600))
            }
        }
        let router = try Router(routes)
        let (ports, continuation) = AsyncStream.makeStream(of: Int.self)
        let server = Server(
            Self.configuration(port: 0, threads: 1), logger: .quiet,
            onListening: { continuation.yield($0.first?.port ?? 0) }, handler: { await router.respond(to: $0) })
        let group = ServiceGroup(services: [server], logger: .quiet)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var iterator = ports.makeAsyncIterator()
            let port = try #require(await iterator.next())
            if version == "HTTP/1.1" {
                let connection = try await RawConnection.connect(port: port)
                try await connection.write("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
                let begin = try await connection.read(until: "data: first\n\n")
                #expect(begin.contains("Content-Type: text/event-stream\r\n"))
                await clock.sleepers(1)
                clock.advance(by: .seconds(15))
                // The first event was sent within this interval.
                await clock.sleepers(1)
                clock.advance(by: .seconds(15))
                #expect(try await connection.read(until: ":\n\n").contains(":\n\n"))
                await group.triggerGracefulShutdown()
                #expect(try await connection.readToEnd().hasSuffix("0\r\n\r\n"))
            } else {
                let client = try await HTTP2Client.connect(port: port)
                try await client.request(1, "GET", "/events")
                try await hasSent.wait()
                await clock.sleepers(1)
                await group.triggerGracefulShutdown()
                let response = await client.response(1)
                #expect(response.body == "data: first\n\n" && response.reset == nil)
            }
            try await tasks.waitForAll()
        }
    }
}
