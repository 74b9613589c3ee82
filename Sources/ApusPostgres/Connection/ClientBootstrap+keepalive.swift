import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension ClientBootstrap {
    /// Makes the kernel notice within a minute that the other machine is gone. By default that takes two hours if nothing
    /// is sent, and a quarter of an hour otherwise; a commit, which cannot be cancelled, would wait that long.
    func noticingLostPeers() -> ClientBootstrap {
        var bootstrap = channelOption(.socketOption(.so_keepalive), value: 1)
        for (option, value) in Self.lostPeerOptions {
            bootstrap = bootstrap.channelOption(.tcpOption(NIOBSDSocket.Option(rawValue: option)), value: value)
        }
        return bootstrap
    }

    private static let (idleSeconds, intervalSeconds, probes) = (30, 10, 3)

    private static var lostPeerOptions: [(CInt, Int)] {
        #if os(Linux)
            // After how many milliseconds what was sent must have been acknowledged.
            let unacknowledged = (CInt(TCP_USER_TIMEOUT), (idleSeconds + intervalSeconds * probes) * 1000)
            return [
                (CInt(TCP_KEEPIDLE), idleSeconds), (CInt(TCP_KEEPINTVL), intervalSeconds), (CInt(TCP_KEEPCNT), probes),
                unacknowledged,
            ]
        #elseif canImport(Darwin)
            return [(TCP_KEEPALIVE, idleSeconds), (TCP_KEEPINTVL, intervalSeconds), (TCP_KEEPCNT, probes)]
        #else
            return []
        #endif
    }
}
