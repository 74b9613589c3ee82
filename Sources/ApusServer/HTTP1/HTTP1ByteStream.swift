import ApusHTTP
import NIOCore

/// The bytes of an upgraded connection.
///
/// `@unchecked Sendable`: the mutable properties are accessed only on the event loop.
final class HTTP1ByteStream: ByteStream, @unchecked Sendable {
    private let handler: HTTP1Connection
    private let inbound: InboundStream
    private(set) var hasRoom = true
    private var drainAction: (@Sendable () -> Void)?
    private var isDraining = false

    init(handler: HTTP1Connection, capacity: Int) {
        self.handler = handler
        inbound = InboundStream(length: nil, capacity: capacity) { [weak handler] in
            handler?.onLoop { $0.resumeReadingUpgraded() }
        }
    }

    // MARK: On the event loop

    func receive(_ bytes: ByteBuffer) { hasRoom = inbound.push(bytes) }

    func roomBecameAvailable() { hasRoom = true }

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

    func write(_ bytes: ByteBuffer) async throws { try await handler.send(bytes) }

    func close() { handler.onLoop { $0.abort() } }

    var hasUnreadBytes: Bool { inbound.hasUnreadBytes }

    func onDrain(_ action: @escaping @Sendable () -> Void) {
        handler.onLoop { _ in
            if self.isDraining { action() } else { self.drainAction = action }
        }
    }
}
