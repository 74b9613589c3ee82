public import ApusCore

/// An address on which a server accepts connections.
public struct Listener: Sendable {
    /// The address of a listener.
    public enum Address: Sendable, Hashable {
        /// A TCP port. If it is 0, the system chooses one.
        case tcp(host: String, port: Int)
        /// A Unix domain socket. A file left behind by a process that no longer listens is removed.
        case unix(path: String)
    }

    /// The address to listen on.
    public var address: Address

    /// The TLS configuration; `nil` for plaintext.
    public var tls: TLS?

    /// The networks of load balancers that begin their connections with the client's address (PROXY protocol, versions
    /// 1 and 2). Connections from these networks must begin with the header; from other addresses, the header is
    /// rejected. On a Unix socket, the header is required from every client if there are any networks. Empty by
    /// default.
    public var proxies: [IPNetwork]

    /// Creates a listener.
    public init(_ address: Address, tls: TLS? = nil, proxies: [IPNetwork] = []) {
        self.address = address
        self.tls = tls
        self.proxies = proxies
    }
}

extension Listener.Address: CustomStringConvertible {
    /// The address as text, such as `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`.
    public var description: String {
        switch self {
        case .tcp(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The TCP port; `nil` for a Unix socket.
    public var port: Int? {
        switch self {
        case .tcp(_, let port): port
        case .unix: nil
        }
    }

    /// Whether it is on the loopback interface. A unix socket does not count: it usually serves a proxy.
    package var isLoopback: Bool {
        switch self {
        case .tcp(let host, _):
            guard let bytes = IPAddress(host)?.bytes else { return host == "localhost" }
            return bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
        case .unix: return false
        }
    }
}
