import ApusHTTP
import NIOCore

/// A message between the processes that share a hub: a line of JSON, then the message.
struct HubEnvelope<Room: Codable & Sendable>: Sendable {
    enum Kind: String, Codable, Sendable {
        case text, binary
        /// Earlier messages of the sender may be lost.
        case gap
    }

    struct Header: Codable, Sendable {
        /// The hub that has sent the message, of which there is one in each process.
        let sender: String
        let kind: Kind
        let rooms: [Room]
        let key: String?
    }

    let header: Header
    let content: ByteBuffer

    init(_ header: Header, content: ByteBuffer = ByteBuffer()) {
        self.header = header
        self.content = content
    }

    /// Creates the envelope of a message.
    init(_ message: WebSocketMessage, from sender: String, to rooms: [Room], key: String?) {
        switch message {
        case .text(let text):
            header = Header(sender: sender, kind: .text, rooms: rooms, key: key)
            content = ByteBuffer(string: text)
        case .binary(let bytes):
            header = Header(sender: sender, kind: .binary, rooms: rooms, key: key)
            content = bytes
        }
    }

    /// - Throws: An error if the bytes are no envelope, such as one of a later version of the service.
    init(_ bytes: [UInt8]) throws {
        let end = bytes.firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
        header = try JSONCoding.decode(Header.self, from: bytes[..<end])
        content = ByteBuffer(bytes: bytes[end...].dropFirst())
    }

    func encoded() throws -> [UInt8] {
        let line = try JSONCoding.encode(header)
        return Array(line.readableBytesView) + [UInt8(ascii: "\n")] + Array(content.readableBytesView)
    }

    /// The message; `nil` if there is none, or a text that is not UTF-8.
    var message: WebSocketMessage? {
        switch header.kind {
        case .text: String(validating: content.readableBytesView, as: UTF8.self).map(WebSocketMessage.text)
        case .binary: .binary(content)
        case .gap: nil
        }
    }
}
