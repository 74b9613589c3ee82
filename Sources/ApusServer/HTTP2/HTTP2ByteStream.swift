import ApusHTTP
import NIOCore

/// The bytes of an upgraded HTTP/2 stream.
///
/// `@unchecked Sendable`: the mutable properties are accessed only on the event loop.
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

    func finish() {
        inbound.finish()
        // Breaks the retain cycle: the action retains its owner, which retains this stream.
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
