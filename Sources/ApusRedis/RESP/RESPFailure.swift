/// Bytes from a server that are not the Redis protocol or exceed a limit. The connection cannot be used any more,
/// because the place of the next reply is unknown.
package struct RESPFailure: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
