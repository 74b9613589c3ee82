public import ApusCore

/// A place where a server takes connections.
public struct Listener: Sendable {
    /// Where.
    public enum Address: Sendable, Hashable {
        /// A TCP port; 0 lets the system choose.
        case tcp(host: String, port: Int)
        /// A socket in the file system. What is left of one that nobody listens on is removed.
        case unix(path: String)
    }

    public var address: Address

    /// The encryption. `nil` for none.
    public var tls: TLS?

    /// The load balancers that begin their connections with the client's address (PROXY protocol, versions 1 and 2). From
    /// them the header is demanded; what others send in its place is not believed. On a unix socket, any network here
    /// stands for everyone who can open it. None by default.
    public var proxies: [IPNetwork]

    public init(_ address: Address, tls: TLS? = nil, proxies: [IPNetwork] = []) {
        self.address = address
        self.tls = tls
        self.proxies = proxies
    }
}

extension Listener.Address: CustomStringConvertible {
    /// `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`.
    public var description: String {
        switch self {
        case .tcp(let host, let port): "\(host.contains(":") ? "[\(host)]" : host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// The TCP port.
    public var port: Int? {
        switch self {
        case .tcp(_, let port): port
        case .unix: nil
        }
    }

    /// Whether it is of the loopback interface. A unix socket is not: a proxy stands behind it, as a rule.
    package var isLoopback: Bool {
        switch self {
        case .tcp(let host, _):
            guard let bytes = IPAddress(host)?.bytes else { return host == "localhost" }
            return bytes.count == 4 ? bytes[0] == 127 : bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1
        case .unix: return false
        }
    }
}
