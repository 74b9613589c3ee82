public import NIOCore

/// A value that can be an argument of a command.
public protocol RedisEncodable: Sendable {
    /// Appends the value to a command, as exactly one argument.
    func encode(into command: inout RedisCommand)
}

extension String: RedisEncodable {
    public func encode(into command: inout RedisCommand) { command.append(self) }
}

extension ByteBuffer: RedisEncodable {
    public func encode(into command: inout RedisCommand) { command.append(self) }
}

extension [UInt8]: RedisEncodable {
    public func encode(into command: inout RedisCommand) { command.append(self) }
}

extension Int: RedisEncodable {
    public func encode(into command: inout RedisCommand) { command.append(self) }
}

extension Int64: RedisEncodable {
    public func encode(into command: inout RedisCommand) { command.append(self) }
}

extension Double: RedisEncodable {
    public func encode(into command: inout RedisCommand) { command.append(self) }
}
