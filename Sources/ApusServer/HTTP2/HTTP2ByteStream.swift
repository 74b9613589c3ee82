import ApusHTTP
import NIOCore

/// A stream as bytes, for the protocol that took it over.
///
/// `@unchecked Sendable`: the mutable properties are touched on the event loop alone.
final class HTTP2ByteStream: ByteStream, @unchecked Sendable {
    private let stream: HTTP2Stream
    private let inbound: InboundStream
    private var drainAction: (@Sendable () -> Void)?
    private var isDraining = false

    init(stream: HTTP2Stream, inbound: InboundStream) {
        self.stream = stream
        self.inbound = inbound
    }

    // MARK: On the event loop

    func receive(_ bytes: ByteBuffer) { if bytes.readableBytes > 0 { _ = inbound.push(bytes) } }

    func finish() {
        inbound.finish()
        // It holds who wants to be told, who holds this stream.
        drainAction = nil
    }

    func drain() {
        isDraining = true
        drainAction?()
        drainAction = nil
    }

    // MARK: From any thread

    func read() async throws -> ByteBuffer? { try await inbound.next() }

    func write(_ bytes: ByteBuffer) async throws { try await stream.send(bytes) }

    func close() { stream.onLoop { $0.reset(.cancel) } }

    var hasUnreadBytes: Bool { inbound.hasUnreadBytes }

    func onDrain(_ action: @escaping @Sendable () -> Void) {
        stream.onLoop { _ in
            if self.isDraining { action() } else { self.drainAction = action }
        }
    }
}
