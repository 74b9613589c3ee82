import ApusCore
import ApusHTTP
import GRPCCore
import HTTPTypes
import NIOCore
import SwiftProtobuf
import Testing

@testable import ApusGRPC

@Suite struct MessageReaderTests {
    private static func framed(_ bytes: [UInt8], flag: UInt8 = 0) -> [UInt8] {
        let count = UInt32(bytes.count)
        return [flag] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) } + bytes
    }

    /// Returns the messages read from a body that arrives in chunks.
    private func read(
        _ chunks: [[UInt8]], limit: Int = 1000, encoding: MessageEncoding = .identity
    ) async throws -> [[UInt8]] {
        var reader = MessageReader(limit: limit)
        var messages: [[UInt8]] = []
        for chunk in chunks {
            reader.append(ByteBuffer(bytes: chunk))
            while let message = try reader.next() {
                switch message {
                case .uncompressed(let message): messages.append(Array(message.bytes.readableBytesView))
                case .compressed(let bytes):
                    messages.append(Array(try await encoding.decode(bytes, limit: limit).bytes.readableBytesView))
                }
            }
        }
        try reader.finish()
        return messages
    }

    @Test func `Messages are read regardless of chunk boundaries`() async throws {
        let messages: [[UInt8]] = [[], [1], Array(repeating: 2, count: 300), [], [3, 4]]
        let bytes = messages.flatMap { Self.framed($0) }
        for cut in 0...bytes.count {
            #expect(try await read([Array(bytes[..<cut]), Array(bytes[cut...])]) == messages)
        }
        #expect(try await read(bytes.map { [$0] }) == messages)
    }

    @Test func `A body that ends within a message is rejected, at every byte`() async throws {
        let bytes = Self.framed(Array(repeating: 7, count: 20))
        for count in 1..<bytes.count {
            let error = await #expect(throws: AppError.self) { try await read([Array(bytes[..<count])]) }
            #expect(error?.code == .internal)
        }
    }

    @Test func `A length over the limit is rejected before the message arrives`() async throws {
        #expect(try await read([Self.framed(Array(repeating: 0, count: 1000))]).count == 1)
        for length: [UInt8] in [
            [0, 0, 3, 0xE9], [0x7F, 0xFF, 0xFF, 0xFF], [0x80, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF],
        ] {
            let error = await #expect(throws: AppError.self) { try await read([[0] + length]) }
            #expect(error?.code == .resourceExhausted)
        }
    }

    @Test(arguments: [2, 3, 0x80, 0xFF] as [UInt8]) func `A compressed flag other than 0 or 1 is rejected`(flag: UInt8)
        async
    {
        let error = await #expect(throws: AppError.self) { try await read([[flag, 0, 0, 0, 0]]) }
        #expect(error?.code == .internal)
    }

    @Test func `A compressed message requires an encoding and valid data`() async throws {
        let plain = Array(repeating: 5 as UInt8, count: 900)
        let compressed = try await Array(MessageEncoding.gzip.encode(ByteBuffer(bytes: plain)).readableBytesView)
        #expect(try await read([compressed], encoding: .gzip) == [plain])
        #expect(await #expect(throws: AppError.self) { try await read([compressed]) }?.code == .internal)
        let wrong = Self.framed([1, 2, 3, 4], flag: 1)
        #expect(await #expect(throws: AppError.self) { try await read([wrong], encoding: .gzip) }?.code == .internal)
        let cut = Self.framed(Array(compressed.dropFirst(5).dropLast(3)), flag: 1)
        #expect(await #expect(throws: AppError.self) { try await read([cut], encoding: .gzip) }?.code == .internal)
    }

    @Test func `A small message that exceeds the limit when decompressed is rejected`() async throws {
        let bomb = try await MessageEncoding.gzip.encode(ByteBuffer(repeating: 0, count: 1 << 20))
        let error = await #expect(throws: AppError.self) {
            try await read([Array(bomb.readableBytesView)], limit: 10_000, encoding: .gzip)
        }
        #expect(error?.code == .resourceExhausted)
    }

    @Test func `The buffer does not grow with the bytes already read`() throws {
        var reader = MessageReader(limit: 1000)
        let bytes = Self.framed(Array(repeating: 1, count: 100))
        reader.append(ByteBuffer(bytes: bytes.prefix(50)))
        for _ in 0..<10_000 {
            #expect(try reader.next() == nil)
            reader.append(ByteBuffer(bytes: bytes.suffix(from: 50) + bytes.prefix(50)))
            guard case .uncompressed(let message) = try reader.next() else { return #expect(Bool(false)) }
            #expect(message.count == 100)
        }
        #expect(reader.bytes.storageCapacity < 4096)
    }

    @Test func `A message is framed with its prefix`() throws {
        let message = MessageBytes([1, 2, 3])
        #expect(Array(message.framed().readableBytesView) == [0, 0, 0, 0, 3, 1, 2, 3])
        #expect(
            Array(MessageBytes(received: ByteBuffer(bytes: [1, 2])).framed().readableBytesView) == [
                0, 0, 0, 0, 2, 1, 2,
            ])
        #expect(MessageBytes(repeating: 7, count: 2).framed().readableBytes == 7)
    }
}
