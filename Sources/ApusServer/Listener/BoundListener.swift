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

/// A listener that takes connections: on a TCP port one socket for each event loop, among which the system spreads them.
struct BoundListener {
    /// With the port that the system chose.
    let address: Listener.Address
    let tls: TLSContext?
    private let channels: [any Channel]

    /// - Throws: An `AppError` of code `unavailable` when the address cannot be listened on, `failedPrecondition` when a file
    ///   of its certificate cannot be used.
    init(_ listener: Listener, _ core: ServerCore, _ group: any EventLoopGroup, _ loops: [LoopState]) async throws {
        let tls: TLSContext? = if let tls = listener.tls { try await TLSContext(tls) } else { nil }
        self.tls = tls
        let setUp = ConnectionSetUp(core: core, group: group, loops: loops, tls: tls, proxies: listener.proxies)
        switch listener.address {
        case .tcp(let host, let port):
            let channels = try await Self.bindAll(host: host, port: port, loops, setUp)
            self.channels = channels
            address = .tcp(host: host, port: channels.first?.localAddress?.port ?? port)
        case .unix(let path):
            self.channels = [try await Self.bind(path: path, loops, setUp)]
            address = listener.address
        }
    }

    func close() async {
        for channel in channels { try? await channel.close() }
        if case .unix(let path) = address { unlink(path) }
    }

    // MARK: TCP

    private static func bindAll(
        host: String, port: Int, _ loops: [LoopState], _ setUp: ConnectionSetUp
    ) async throws -> [any Channel] {
        let address = Listener.Address.tcp(host: host, port: port)
        func bind(_ loop: LoopState, port: Int, sharesPort: Bool) async throws -> any Channel {
            let bootstrap = setUp.bootstrap(on: loop, connectionsOn: loop.eventLoop)
                .serverChannelOption(.socketOption(.init(rawValue: SO_REUSEPORT)), value: sharesPort ? 1 : 0)
            return try await Self.explaining(address) { try await bootstrap.bind(host: host, port: port).get() }
        }
        guard let first = loops.first else { return [] }
        if loops.count == 1 { return [try await bind(first, port: port, sharesPort: false)] }
        // Sockets that share a port would share it with another process of the same user too, unnoticed. So a port that was
        // named is taken for itself first; one that the system chooses is nobody's.
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

    private static func bind(path: String, _ loops: [LoopState], _ setUp: ConnectionSetUp) async throws -> any Channel {
        let address = Listener.Address.unix(path: path)
        guard let first = loops.first else { throw AppError(.internal, "There is no event loop.") }
        if await isListenedOn(path: path, first.eventLoop) {
            throw AppError(.unavailable, "\(address) is in use by another process.")
        }
        let bootstrap = setUp.bootstrap(on: first, connectionsOn: setUp.group)
        return try await explaining(address) {
            try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        }
    }

    private static func isListenedOn(path: String, _ eventLoop: any EventLoop) async -> Bool {
        let channel = try? await ClientBootstrap(group: eventLoop).connect(unixDomainSocketPath: path).get()
        try? await channel?.close()
        return channel != nil
    }

    private static func explaining(
        _ address: Listener.Address, _ bind: () async throws -> any Channel
    ) async throws -> any Channel {
        do {
            return try await bind()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw AppError(.unavailable, "\(address) is in use by another process.", cause: error)
        } catch {
            throw AppError(.unavailable, "\(address) cannot be listened on: \(error)", cause: error)
        }
    }
}
