import ApusCore
import ApusHTTP
import ApusServer
import ApusTesting
import HTTPTypes
import NIOCore
import NIOHPACK
import NIOHTTP2
import Synchronization
import Testing

/// Flow control of HTTP/2, in both directions.
@Suite(.timeLimit(.minutes(10))) struct FlowControlTests {
    private static let text = String((0..<100_000).map { Character(UnicodeScalar(97 + UInt8($0 % 26))) })

    private func withTextServer(_ body: (Int) async throws -> Void) async throws {
        try await withServer(
            routes: { routes in
                routes.get("text") { Self.text }
                routes.get("trailers") { _ in
                    Response(
                        status: .ok,
                        body: .stream { writer in
                            try await writer.write(ByteBuffer(string: Self.text))
                            writer.setTrailers([HTTPField.Name("X-Sum")!: "7"])
                        })
                }
            }, body)
    }

    private func update(_ client: HTTP2Client, _ stream: Int, by increment: Int) async throws {
        try await client.send(stream, .windowUpdate(windowSizeIncrement: increment))
    }

    @Test(arguments: ["/text", "/trailers"])
    func `A response is sent within the client's window, in frames of at most 16 KiB`(path: String) async throws {
        try await withTextServer { port in
            let client = try await HTTP2Client.connect(
                port: port, settings: [.init(parameter: .initialWindowSize, value: 1)])
            try await client.request(1, "GET", path)
            var received = ""
            var isEnded = false
            var frames = client.iterator
            while !isEnded, let frame = await frames.next() {
                guard frame.streamID == 1 else { continue }
                switch frame.payload {
                case .data(let content):
                    guard case .byteBuffer(let bytes) = content.data else { break }
                    #expect(bytes.readableBytes <= 16_384)
                    received += String(buffer: bytes)
                    isEnded = content.endStream
                    guard !isEnded else { break }
                    // Grow the windows of the stream and the connection, more each time. The stream may have ended.
                    try? await update(client, 1, by: received.utf8.count + 1)
                    try await update(client, 0, by: bytes.readableBytes)
                case .headers(let content): isEnded = content.endStream
                default: break
                }
            }
            #expect(received == Self.text)
            try await client.close()
        }
    }

    @Test(arguments: ["/text", "/stream"])
    func `A response that the client does not read is reset at its deadline`(path: String) async throws {
        try await withServer(routes: { routes in
            routes.get("text") { _ -> Response in
                var response = Response.text(Self.text)
                response.deadline = .now() + .milliseconds(50)
                return response
            }
            routes.get("stream") { _ -> Response in
                var response = Response(
                    status: .ok,
                    body: .stream { writer in while true { try await writer.write(ByteBuffer(string: Self.text)) } })
                response.deadline = .now() + .milliseconds(50)
                return response
            }
        }) { port in
            let client = try await HTTP2Client.connect(
                port: port, settings: [.init(parameter: .initialWindowSize, value: 1)])
            try await client.request(1, "GET", path)
            let response = await client.response(1)
            #expect(response.status == "200")
            #expect(response.body == "a")
            #expect(response.reset == .cancel)
            try await client.close()
        }
    }

    @Test func `Streams take turns when the connection's window is small`() async throws {
        try await withTextServer { port in
            let client = try await HTTP2Client.connect(
                port: port, settings: [.init(parameter: .initialWindowSize, value: 1 << 20)])
            // Both share a window of 65,535 bytes.
            try await client.request(1, "GET", "/text")
            try await client.request(3, "GET", "/text")
            var counts: [HTTP2StreamID: Int] = [:]
            var sum = 0
            var frames = client.iterator
            while sum < 200_000, let frame = await frames.next() {
                guard case .data(let content) = frame.payload, case .byteBuffer(let bytes) = content.data else {
                    continue
                }
                counts[frame.streamID, default: 0] += bytes.readableBytes
                sum += bytes.readableBytes
                if sum == 65_535 + 32_768 { #expect(counts.count == 2) }
                if sum >= 65_535 { try await update(client, 0, by: 16_384) }
            }
            #expect(counts == [1: 100_000, 3: 100_000])
            try await client.close()
        }
    }

    @Test func `A response waits while the client has shrunk its window below zero`() async throws {
        try await withTextServer { port in
            let client = try await HTTP2Client.connect(
                port: port, settings: [.init(parameter: .initialWindowSize, value: 50_000)])
            try await client.request(1, "GET", "/text")
            var received = 0
            var hasShrunk = false
            var frames = client.iterator
            while received < 100_000, let frame = await frames.next() {
                guard case .data(let content) = frame.payload, case .byteBuffer(let bytes) = content.data else {
                    continue
                }
                received += bytes.readableBytes
                guard received == 50_000, !hasShrunk else { continue }
                hasShrunk = true
                try await client.send(0, .settings(.settings([.init(parameter: .initialWindowSize, value: 10)])))
                try await update(client, 0, by: 100_000)
                // 49,990 of these only compensate for the reduction.
                try await update(client, 1, by: 49_990 + 50_000)
            }
            #expect(received == 100_000)
            try await client.close()
        }
    }

    @Test func `Requests beyond the limit are refused, and the connection stays open`() async throws {
        var limits = ServerLimits.patient
        limits.concurrentStreams = 2
        let gate = Gate()
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.get("slow") {
                    try await gate.wait()
                    return "slow"
                }
            }
        ) { port in
            let connection = try await RawConnection.connect(port: port)
            let get: [UInt8] = [0x82, 0x86, 0x44, 5] + Array("/slow".utf8) + [0x41, 1, 0x61]
            var bytes = HTTP2Bytes.preface
            for stream in [1, 3, 5, 7] { bytes += HTTP2Bytes.frame(1, 5, stream, get) }
            try await connection.write(ByteBuffer(bytes: bytes))
            var answer: [UInt8] = []
            while HTTP2Bytes.frames(3, in: answer).count < 2, let more = try await connection.read() {
                answer += more.readableBytesView
            }
            // REFUSED_STREAM, so the client may retry them.
            #expect(HTTP2Bytes.frames(3, in: answer).map(\.stream) == [5, 7])
            #expect(HTTP2Bytes.frames(3, in: answer).map(\.payload) == [[0, 0, 0, 7], [0, 0, 0, 7]])
            gate.open()
            while HTTP2Bytes.frames(0, in: answer).count < 2, let more = try await connection.read() {
                answer += more.readableBytesView
            }
            #expect(Set(HTTP2Bytes.frames(0, in: answer).map(\.stream)) == [1, 3])
            connection.close()
        }
    }

    @Test func `A stream of large pieces continues as the socket accepts them, without frames from the client`()
        async throws
    {
        let (count, size) = (50, 200_000)
        try await withServer(routes: { routes in
            routes.get("text") { _ in
                Response(
                    status: .ok,
                    body: .stream { writer in
                        for _ in 0..<count { try await writer.write(ByteBuffer(repeating: 0x78, count: size)) }
                    })
            }
        }) { port in
            let connection = try await RawConnection.connect(port: port)
            let get: [UInt8] = [0x82, 0x86, 0x44, 5] + Array("/text".utf8) + [0x41, 1, 0x61]
            // The windows are at their maximum, and frames may be as large as the pieces.
            let settings: [UInt8] = [0, 4, 0x7F, 0xFF, 0xFF, 0xFF, 0, 5, 0, 0xFF, 0xFF, 0xFF]
            var bytes = HTTP2Bytes.preface + HTTP2Bytes.frame(4, 0, 0, settings)
            bytes += HTTP2Bytes.frame(8, 0, 0, [0x7F, 0xFF, 0, 0]) + HTTP2Bytes.frame(1, 5, 1, get)
            try await connection.write(ByteBuffer(bytes: bytes))
            var received = 0
            while received < count * size, let more = try await connection.read() { received += more.readableBytes }
            #expect(received >= count * size)
            connection.close()
        }
    }

    @Test func `A client that closes its sending side after a request receives the whole response`() async throws {
        let size = 3_000_000
        try await withServer(routes: { $0.get("text") { String(repeating: "x", count: size) } }) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.pauseReading()
            let get: [UInt8] = [0x82, 0x86, 0x44, 5] + Array("/text".utf8) + [0x41, 1, 0x61]
            var bytes = HTTP2Bytes.preface + HTTP2Bytes.frame(4, 0, 0, [0, 4, 0x7F, 0xFF, 0xFF, 0xFF])
            bytes += HTTP2Bytes.frame(8, 0, 0, [0x7F, 0xFF, 0, 0]) + HTTP2Bytes.frame(1, 5, 1, get)
            try await connection.write(ByteBuffer(bytes: bytes))
            try await connection.closeOutput()
            try await connection.resumeReading()
            var answer: [UInt8] = []
            while let more = try await connection.read() { answer += more.readableBytesView }
            #expect(HTTP2Bytes.frames(0, in: answer).reduce(0) { $0 + $1.payload.count } == size)
        }
    }

    @Test func `A request that arrives after GOAWAY on an idle connection is not processed`() async throws {
        var limits = ServerLimits.patient
        limits.idleTimeout = .milliseconds(100)
        let count = Mutex(0)
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.get("text") {
                    count.withLock { $0 += 1 }
                    return "text"
                }
            }
        ) { port in
            let get: [UInt8] = [0x82, 0x86, 0x44, 5] + Array("/text".utf8) + [0x41, 1, 0x61]
            var hasSeenGoodbye = false
            // On a busy machine the server may have closed the connection before its preface was written.
            while !hasSeenGoodbye {
                let connection = try await RawConnection.connect(port: port)
                try? await connection.write(ByteBuffer(bytes: HTTP2Bytes.preface))
                var answer: [UInt8] = []
                while HTTP2Bytes.frames(7, in: answer).isEmpty, let more = try await connection.read() {
                    answer += more.readableBytesView
                }
                hasSeenGoodbye = !HTTP2Bytes.frames(7, in: answer).isEmpty
                try? await connection.write(ByteBuffer(bytes: HTTP2Bytes.frame(1, 5, 1, get)))
                while try await connection.read() != nil {}
            }
            #expect(count.withLock { $0 } == 0)
        }
    }

    @Test func `A client that does not read its responses is not read from and is disconnected`() async throws {
        var limits = ServerLimits.patient
        limits.idleTimeout = .seconds(5)
        let count = Mutex(0)
        try await withServer(
            limits: limits,
            routes: { routes in
                routes.get("text") {
                    count.withLock { $0 += 1 }
                    return Self.text
                }
            }
        ) { port in
            let connection = try await RawConnection.connect(port: port)
            try await connection.pauseReading()
            let get: [UInt8] = [0x82, 0x86, 0x44, 5] + Array("/text".utf8) + [0x41, 1, 0x61]
            // All windows are at their maximum, so only the socket holds the server back.
            var bytes = HTTP2Bytes.preface + HTTP2Bytes.frame(4, 0, 0, [0, 4, 0x7F, 0xFF, 0xFF, 0xFF])
            bytes += HTTP2Bytes.frame(8, 0, 0, [0x7F, 0xFF, 0, 0])
            try await connection.write(ByteBuffer(bytes: bytes))
            await #expect(throws: (any Error).self) {
                for start in stride(from: 0, to: 1_000_000, by: 100) {
                    let requests = (0..<100).flatMap { HTTP2Bytes.frame(1, 5, 2 * (start + $0) + 1, get) }
                    try await connection.write(ByteBuffer(bytes: requests))
                }
            }
            // Each response is 100 kB, and the sockets hold a few megabytes.
            #expect(count.withLock { $0 } < 1000)
            connection.close()
        }
    }
}
