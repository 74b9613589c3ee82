import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A local port on which nothing listens, until it is given to a server.
///
/// A socket that is bound but does not listen holds the port, so that the system gives it to no other test, not even
/// while the server is down. A server that is given the port can still listen on it.
package final class ReservedPort: Sendable {
    /// The port.
    package let number: Int

    private let descriptor: Int32

    /// - Throws: `IOError`.
    package init() throws {
        #if canImport(Glibc)
            let type = Int32(SOCK_STREAM.rawValue)
        #else
            let type = SOCK_STREAM
        #endif
        descriptor = socket(AF_INET, type, 0)
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        // Servers set this option as well; two sockets that have it may share a port while at most one of them listens.
        var isReusable: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isReusable, socklen_t(MemoryLayout<Int32>.size))
        guard let number = bindToLoopback(descriptor) else {
            let error = IOError(errnoCode: errno, reason: "bind")
            close(descriptor)
            throw error
        }
        self.number = number
    }

    deinit { close(descriptor) }
}

/// Runs a body with a local port on which nothing listens.
package func withReservedPort<Result>(_ body: (_ port: Int) async throws -> Result) async throws -> Result {
    let port = try ReservedPort()
    defer { withExtendedLifetime(port) {} }
    return try await body(port.number)
}

/// Binds a socket to a free port of 127.0.0.1.
/// - Returns: The port; `nil` if that fails.
private func bindToLoopback(_ descriptor: Int32) -> Int? {
    // A `sockaddr_in`: the family, the port and the address in network byte order, and eight unused bytes.
    var address: [UInt8] = [0, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    #if canImport(Darwin)
        address[0] = UInt8(address.count)
        address[1] = UInt8(AF_INET)
    #else
        address.withUnsafeMutableBytes { $0.storeBytes(of: UInt16(AF_INET), as: UInt16.self) }
    #endif
    var length = socklen_t(address.count)
    let isBound = address.withUnsafeMutableBytes { bytes in
        guard let pointer = bytes.assumingMemoryBound(to: sockaddr.self).baseAddress else { return false }
        return bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0
    }
    return isBound ? Int(address[2]) << 8 | Int(address[3]) : nil
}
