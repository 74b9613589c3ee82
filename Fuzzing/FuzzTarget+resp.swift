import ApusRedis
import NIOCore

extension FuzzTarget {
    /// The bytes of a Redis server yield the same values wherever they are split. The first byte determines the split.
    static func fuzzRESP(_ input: UnsafeRawBufferPointer) {
        guard let first = input.first else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let split = bytes.isEmpty ? 0 : Int(first) % bytes.count
        let whole = values(in: [ByteBuffer(bytes: bytes)])
        let halves = [ByteBuffer(bytes: bytes.prefix(split)), ByteBuffer(bytes: bytes.dropFirst(split))]
        precondition(values(in: halves) == whole, "A split at \(split) changes the result.")
        let single = bytes.map { ByteBuffer(integer: $0) }
        precondition(values(in: single) == whole, "Single bytes change the result.")
    }

    private static func values(in pieces: [ByteBuffer]) -> [String] {
        let limits = RESPLimits(depth: 8, stringBytes: 512, replyBytes: 1024, values: 64)
        var reader = RESPReader(limits: limits)
        // As text, because a number that is not one does not equal itself.
        var values: [String] = []
        do throws(RESPFailure) {
            for piece in pieces {
                reader.append(piece)
                while let value = try reader.next() { values.append(text(of: value)) }
            }
        } catch {
            values.append("failure")
        }
        return values
    }

    private static func text(of value: RedisValue) -> String {
        switch value {
        case .bytes(let bytes): "bytes \(Array(bytes.readableBytesView))"
        case .verbatim(let format, let bytes): "verbatim \(format) \(Array(bytes.readableBytesView))"
        case .array(let elements): "array \(elements.map(text))"
        case .set(let elements): "set \(elements.map(text))"
        case .push(let elements): "push \(elements.map(text))"
        case .map(let pairs): "map \(pairs.map { [text(of: $0.key), text(of: $0.value)] })"
        case .null, .integer, .double, .boolean, .bigNumber, .error: "\(value)"
        }
    }
}
