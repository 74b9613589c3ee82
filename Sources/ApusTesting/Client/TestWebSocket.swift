public import Apus
public import NIOCore
import Synchronization

/// The client's end of a WebSocket connection.
public final class TestWebSocket: Sendable {
    /// The error if the server did not upgrade the connection.
    public struct Refusal: Error {
        /// The response that the server sent instead.
        public let response: ClientResponse
    }

    private let connection: any TestConnection
    private let inbound = Mutex(ByteBuffer())
    private let closeCode = Mutex<UInt16?>(nil)
    private let closeReason = Mutex<String?>(nil)

    private init(_ connection: any TestConnection) { self.connection = connection }

    static func open(_ transport: any TestTransport, _ target: String, _ headers: HTTPFields) async throws
        -> TestWebSocket
    {
        var headers = headers
        headers[.upgrade] = "websocket"
        headers[.connection] = "Upgrade"
        headers[.secWebSocketVersion] = "13"
        headers[.secWebSocketKey] = "dGhlIHNhbXBsZSBub25jZQ=="
        let (response, connection) = try await transport.upgrade(target, headers)
        guard let connection else { throw Refusal(response: response) }
        return TestWebSocket(connection)
    }

    /// The close code sent by the server, available once ``receive()`` has returned `nil`.
    public var receivedCloseCode: UInt16? { closeCode.withLock { $0 } }

    /// The reason in the close frame of the server, available once ``receive()`` has returned `nil`.
    public var receivedCloseReason: String? { closeReason.withLock { $0 } }

    /// Sends a text message.
    public func send(_ text: String) async throws { try await sendFrame(0x81, ByteBuffer(string: text)) }

    /// Sends a value as JSON.
    public func send(json value: some Encodable) async throws { try await sendFrame(0x81, JSONCoding.encode(value)) }

    /// Sends a single frame without validation, for tests of invalid client behavior.
    /// - Parameter first: The first byte: FIN, reserved bits and opcode.
    public func sendFrame(_ first: UInt8, _ payload: ByteBuffer) async throws {
        var frame = ByteBuffer(integer: first)
        let length = payload.readableBytes
        switch length {
        case ...125: frame.writeInteger(UInt8(length) | 0x80)
        case ...0xFFFF:
            frame.writeInteger(UInt8(126 | 0x80))
            frame.writeInteger(UInt16(length))
        default:
            frame.writeInteger(UInt8(127 | 0x80))
            frame.writeInteger(UInt64(length))
        }
        let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
        frame.writeBytes(mask)
        frame.writeBytes(payload.readableBytesView.enumerated().map { $1 ^ mask[$0 & 3] })
        try await connection.write(frame)
    }

    /// Returns the next text or binary message as text, or `nil` once the server has closed. Pings are answered.
    public func receive() async throws -> String? {
        while true {
            if let (opcode, payload) = nextFrame() {
                switch opcode {
                case 0x8:
                    closeCode.withLock { $0 = payload.getInteger(at: payload.readerIndex) }
                    let reason = String(decoding: payload.readableBytesView.dropFirst(2), as: UTF8.self)
                    closeReason.withLock { $0 = reason }
                    return nil
                case 0x9: try await sendFrame(0x8A, payload)
                case 0x1, 0x2: return String(buffer: payload)
                default: break
                }
                continue
            }
            guard let bytes = try await connection.read() else { return nil }
            inbound.withLock { _ = $0.writeImmutableBuffer(bytes) }
        }
    }

    /// Returns the next message, decoded from JSON, or `nil` once the server has closed.
    public func receiveJSON<Value: Decodable>(_ type: Value.Type = Value.self) async throws -> Value? {
        try await receive().map { try JSONCoding.decode(type, from: ByteBuffer(string: $0)) }
    }

    /// Sends a close frame and closes the connection.
    public func close(code: UInt16 = 1000) async throws {
        defer { connection.close() }
        try await sendFrame(0x88, ByteBuffer(integer: code))
    }

    private func nextFrame() -> (UInt8, ByteBuffer)? {
        inbound.withLock { buffer in
            var reader = buffer
            guard let first: UInt8 = reader.readInteger(), let second: UInt8 = reader.readInteger() else { return nil }
            var length = Int(second & 0x7F)
            if length == 126 {
                guard let long: UInt16 = reader.readInteger() else { return nil }
                length = Int(long)
            } else if length == 127 {
                guard let long: UInt64 = reader.readInteger() else { return nil }
                length = Int(long)
            }
            guard let payload = reader.readSlice(length: length) else { return nil }
            buffer = reader
            return (first & 0x0F, payload)
        }
    }
}
