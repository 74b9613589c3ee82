import ApusCore
import NIOCore
import NIOSSL
import NIOTLS

extension PostgresConnection {
    /// Asks the server whether it encrypts. It answers with one byte.
    func askForTLS(_ context: ChannelHandlerContext) {
        transport = .askingForTLS
        FrontendMessage.tlsRequest(to: &machine.output)
        flush()
    }

    /// Called with the server's answer.
    func answeredTLS(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        let answer = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self)
        switch answer {
        // What follows the answer was not encrypted: somebody in the middle may have added it (CVE-2021-23222).
        case UInt8(ascii: "S") where bytes.readableBytes == 1: encrypt(context)
        case UInt8(ascii: "N") where bytes.readableBytes == 1:
            guard encryption == .encrypted else { return startSession() }
            perform(
                machine.fail(
                    AppError(
                        .failedPrecondition,
                        "The database does not offer encryption, which sslmode=\(tls.mode.rawValue) asks for.")))
        default:
            perform(machine.fail(AppError(.unavailable, "The database has violated its protocol when asked for TLS.")))
        }
    }

    private func encrypt(_ context: ChannelHandlerContext) {
        do {
            guard let handler = try tls.makeHandler(for: host) else { return startSession() }
            transport = .handshaking
            try context.pipeline.syncOperations.addHandler(handler, position: .before(self))
        } catch {
            perform(
                machine.fail(
                    AppError(.unavailable, "The connection to the database cannot be encrypted.", cause: error)))
        }
    }

    func handshakeAdvanced(_ event: Any, _ context: ChannelHandlerContext) {
        guard case .some(.handshakeCompleted) = event as? TLSUserEvent else { return }
        isEncrypted = true
        if let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate(),
            let bytes = try? certificate.toDERBytes(), let hash = CertificateHash.hash(bytes)
        {
            machine.binding = .serverEndPoint(hash)
        }
        startSession()
    }
}

extension SocketAddress {
    /// Whether what is sent there does not leave the machine: to a Unix socket or a loopback address.
    var isOnThisMachine: Bool {
        switch self {
        case .unixDomainSocket: true
        case .v4: ipAddress?.starts(withBytesOf: "127.") == true
        case .v6: ipAddress == "::1"
        }
    }
}
