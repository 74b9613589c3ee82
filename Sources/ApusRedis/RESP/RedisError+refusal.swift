import ApusCore

extension RedisError {
    /// Another server of the cluster that has the key.
    struct Redirect: Equatable, Sendable {
        let slot: UInt16
        /// The host; empty if it is the host of the server that sent the redirect.
        let host: String
        let port: Int
    }

    /// What an error asks of the client. Each proves that the command did not run.
    enum Request: Equatable, Sendable {
        /// The server is a replica, or still loads its data: reconnect, and ask again.
        case reconnect
        /// The slot has moved for good.
        case moved(Redirect)
        /// The slot is moving: ask there once.
        case ask(Redirect)
        /// The slot is moving, and the keys of the command are on both servers.
        case tryAgain
        /// The server does not know the script.
        case sendScript
    }

    /// Whether the server refuses commands until it has another role or state.
    var isRefusal: Bool {
        switch code {
        case "READONLY", "LOADING", "MASTERDOWN": true
        // Before Redis 7, the error of a script contains that of its command. A replica refuses already its first write.
        case "ERR": message.starts(withBytesOf: "Error running script") && message.contains(bytesOf: "-READONLY ")
        default: false
        }
    }

    /// What the error asks of the client, if anything.
    var request: Request? {
        switch code {
        case _ where isRefusal: .reconnect
        case "MOVED": redirect.map(Request.moved)
        case "ASK": redirect.map(Request.ask)
        case "TRYAGAIN", "CLUSTERDOWN": .tryAgain
        case "NOSCRIPT": .sendScript
        default: nil
        }
    }

    /// The slot and the address, such as `3999 127.0.0.1:6381`. An IPv6 address has colons of its own.
    private var redirect: Redirect? {
        guard let (slot, address) = message.cut(at: " "), let slot = UInt16(slot), slot < HashSlot.count,
            let colon = address.utf8.lastIndex(of: UInt8(ascii: ":")),
            let port = Int(address[address.utf8.index(after: colon)...]), (1...65_535).contains(port)
        else { return nil }
        return Redirect(slot: slot, host: String(address[..<colon]), port: port)
    }
}
