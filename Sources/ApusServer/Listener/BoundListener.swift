import ApusCore
import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A listener that accepts connections. On a TCP port it has one socket for each event loop, and the system distributes
/// connections among them.
struct BoundListener {
    /// The address with the actual port.
    let address: Listener.Address
    let tls: TLSContext?
    private let channels: [any Channel]

    /// Binds a listener.
    /// - Throws: An `AppError` with code `unavailable` if the address cannot be bound, or `failedPrecondition` if a
    ///   certificate or key cannot be used.
    init(_ listener: Listener, _ core: ServerCore, _ group: any EventLoopGroup, _ loops: [LoopState]) async throws {
        let tls: TLSContext? = if let tls = listener.tls { try await TLSContext(tls) } else { nil }
        self.tls = tls
        let setup = ConnectionSetup(core: core, group: group, loops: loops, tls: tls, proxies: listener.proxies)
        switch listener.address {
        case .tcp(let host, let port):
            let channels = try await Self.bindAll(host: host, port: port, loops, setup)
            self.channels = channels
            address = .tcp(host: host, port: channels.first?.localAddress?.port ?? port)
        case .unix(let path):
            self.channels = [try await Self.bind(path: path, loops, setup)]
            address = listener.address
        }
    }

    func close() async {
        for channel in channels { try? await channel.close() }
        if case .unix(let path) = address { unlink(path) }
    }

    // MARK: TCP

    private static func bindAll(
        host: String, port: Int, _ loops: [LoopState], _ setup: ConnectionSetup
    ) async throws -> [any Channel] {
        let address = Listener.Address.tcp(host: host, port: port)
        func bind(_ loop: LoopState, port: Int, sharesPort: Bool) async throws -> any Channel {
            let bootstrap = setup.bootstrap(on: loop, connectionsOn: loop.eventLoop)
                .serverChannelOption(.socketOption(.init(rawValue: SO_REUSEPORT)), value: sharesPort ? 1 : 0)
            return try await Self.describingErrors(for: address) {
                try await bootstrap.bind(host: host, port: port).get()
            }
        }
        guard let first = loops.first else { return [] }
        if loops.count == 1 { return [try await bind(first, port: port, sharesPort: false)] }
        // Sockets that share a port would share it with another process of the same user as well, unnoticed. So a given
        // port is first bound exclusively. A port that the system chooses is free.
        if port != 0 { try await bind(first, port: port, sharesPort: false).close() }
        var channels: [any Channel] = []
        do {
            for loop in loops {
                let port = channels.first?.localAddress?.port ?? port
                channels.append(try await bind(loop, port: port, sharesPort: true))
            }
            return channels
        } catch {
            for channel in channels { try? await channel.close() }
            throw error
        }
    }

    // MARK: Unix sockets

    private static func bind(path: String, _ loops: [LoopState], _ setup: ConnectionSetup) async throws -> any Channel {
        let address = Listener.Address.unix(path: path)
        guard let first = loops.first else { throw AppError(.internal, "The server has no event loop.") }
        if await isInUse(path: path, first.eventLoop) {
            throw AppError(.unavailable, "\(address) is in use by another process.")
        }
        let bootstrap = setup.bootstrap(on: first, connectionsOn: setup.group)
        return try await describingErrors(for: address) {
            try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        }
    }

    private static func isInUse(path: String, _ eventLoop: any EventLoop) async -> Bool {
        let channel = try? await ClientBootstrap(group: eventLoop).connect(unixDomainSocketPath: path).get()
        try? await channel?.close()
        return channel != nil
    }

    private static func describingErrors(
        for address: Listener.Address, _ bind: () async throws -> any Channel
    ) async throws -> any Channel {
        do {
            return try await bind()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw AppError(.unavailable, "\(address) is in use by another process.", cause: error)
        } catch {
            throw AppError(.unavailable, "Cannot listen on \(address): \(error)", cause: error)
        }
    }
}
