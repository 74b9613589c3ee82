/// The address of a server.
public enum RedisEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// A host name or an IP address, and a port.
    case tcp(host: String, port: Int)
    /// The path of a Unix domain socket.
    case unix(path: String)

    public var description: String {
        switch self {
        case .tcp(let host, let port): host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): path
        }
    }

    /// The host, for TLS and for redirects without one.
    var host: String? {
        switch self {
        case .tcp(let host, _): host
        case .unix: nil
        }
    }
}
